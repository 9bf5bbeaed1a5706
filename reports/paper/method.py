"""What was derived before the fits: the exponents with frozen gates."""

DERIVATIONS = """\
## How the exponents with frozen gates were derived

Written before anything was fitted. Take every gate at 1/2 (where it starts), W_B = W_C = I and no noise. A token scores
with its own pattern only, so a sequence speaks through G_p, the sum over tokens t of pattern p of
sum over s <= t of that pattern of 2^-(t-s+1), and F = (1/L) sum_p G_p a_p with a_p = sum_i v_i relu(W_O[i] . o_p).
While every sequence is inside the hinge, gradient descent on W_O moves each active coordinate W_O[i] . o_p by
(eta / L) v_i E[z G_p] a step (`tests/training/recursion.py` follows this exactly; a test holds training to it).

- **Majority.** n tokens of a pattern at random places have E[G] = n/2 + (pairs), about L times a function of n/L, so
  E[z G] is L times a multiple of the gap. It enters once in the step of a_p, over L, and once in F, over L: F grows by
  eta gap^2 times a constant a step, whatever L is. Prediction: T ~ gap^-2 eta^-1 L^0 d^0. The theorem has L^2.
- **Locality.** Two tokens `gap` apart have G = 1 + 2^-(1+gap), so E[z G] is delta / 2 with
  delta = 2^-(1+near) - 2^-(1+far) = D / 2, and no factor L. F then grows by eta delta^2 / (8 L^2) a step (a quarter of
  the neurons grow for either pattern), and loss 0 takes T = 8 L^2 / (eta delta^2) steps. Prediction: T ~ L^2 eta^-1
  D^-2. The theorem, whose gates move, has D^-1: this is an ablation of it, not a rival.
- **What they leave out.** Gates that move: they raise a near pair's strength from 2^-near towards
  (1 - sigmoid(u))^(near-1) / 2, so with a trained gate the exponent of D should come out between the gates-frozen one
  and 0. Noise: it gives the margin a spread that does not shrink with training, so a loss of .001 needs a mean margin
  above 1, or, where the spread is too large, is never reached. The end point is a loss of .001 and not 0. Steps that
  are not small: at eta = 1000 a few dozen steps cross the margin, and one class may wait there for the other.

## What is not here

Figures 7 to 10 and tables 1 and 2 of the paper: what they show is not known to us, and nothing is claimed. Its slide on
whole-slide images (horizontal .870 +- .024, Hilbert .893 +- .019, as reported) is not reproduced here; the project's
own comparison of scans on synthetic grids is docs/locality2d.md.
"""
