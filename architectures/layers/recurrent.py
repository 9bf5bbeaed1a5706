"""The classical gated recurrent networks, as torch has them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.contracts.mixer import Steps
from harness.contracts.seeds import seeded_torch

from .padding import StepMixer


class _Recurrent(StepMixer):
    """One layer of a torch recurrent module, its state as wide as the token; the outputs are the hidden states h_t.

    Padding stands to the right of all real steps, and the recurrence never looks there: only infinities are kept out.
    """

    causal = True

    def __init__(self, module: type[nn.LSTM] | type[nn.GRU], width: int, generator: torch.Generator):
        super().__init__()
        with seeded_torch(generator):
            self.layer = module(width, width, batch_first=True)

    def mix(self, x: Steps) -> Steps:
        if x.device.type == "cpu" and x.dtype == torch.float32 and torch.is_autocast_enabled("cpu"):
            # Torch casts too late for its own choice: oneDNN's LSTM is taken for a float32 input and then handed
            # bfloat16, which it refuses on processors without such products.
            x = x.to(torch.get_autocast_dtype("cpu"))
        self.path = f"{self.layer.mode.lower()} {_backend(self.layer, x)}"
        return self.layer(x)[0]

    def _from_token(self, x: Tensor) -> Tensor:
        """W_i x_t + b_i of all gates, side by side."""
        return F.linear(x, *self._parameters_of("ih"))

    def _from_state(self, h: Tensor) -> Tensor:
        """W_h h_{t-1} + b_h of all gates, side by side."""
        return F.linear(h, *self._parameters_of("hh"))

    def _parameters_of(self, product: str) -> tuple[Tensor, Tensor]:
        return self.layer.get_parameter(f"weight_{product}_l0"), self.layer.get_parameter(f"bias_{product}_l0")


class LSTM(_Recurrent):
    """Long short-term memory with a forget gate and without peepholes.

    i, f, o = sigmoid(W x_t + U h_{t-1} + b), g = tanh(same), c_t = f c_{t-1} + i g, h_t = o tanh(c_t); torch keeps two
    biases, which add up, and the gates in the order i, f, g, o.

    state_size: c and h.
    """

    def __init__(self, width: int, generator: torch.Generator):
        super().__init__(nn.LSTM, width, generator)
        self.state_size = 2 * width

    def mix_plainly(self, x: Steps) -> Steps:
        h = c = x.new_zeros(x.shape[0], x.shape[2])
        outputs = []
        for token in x.unbind(1):
            i, f, g, o = (self._from_token(token) + self._from_state(h)).chunk(4, dim=-1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, dim=1)


class GRU(_Recurrent):
    """Gated recurrent unit: r, z = sigmoid(W x_t + U h_{t-1} + b), h_t = (1 - z) n + z h_{t-1}.

    n = tanh(W x_t + b + r (U h_{t-1} + b')): torch resets after the product with U, the paper before it.

    state_size: h.
    """

    def __init__(self, width: int, generator: torch.Generator):
        super().__init__(nn.GRU, width, generator)
        self.state_size = width

    def mix_plainly(self, x: Steps) -> Steps:
        h = x.new_zeros(x.shape[0], x.shape[2])
        outputs = []
        for token in x.unbind(1):
            token_r, token_z, token_n = self._from_token(token).chunk(3, dim=-1)
            state_r, state_z, state_n = self._from_state(h).chunk(3, dim=-1)
            r, z = torch.sigmoid(token_r + state_r), torch.sigmoid(token_z + state_z)
            n = torch.tanh(token_n + r * state_n)
            h = (1 - z) * n + z * h
            outputs.append(h)
        return torch.stack(outputs, dim=1)


def _backend(layer: nn.LSTM | nn.GRU, x: Tensor) -> str:
    """Which of its implementations torch takes for this input; torch has no public way to ask."""
    if x.is_cuda:
        return "cudnn" if torch.backends.cudnn.is_acceptable(x) else "native"
    # As use_mkldnn in torch's RNN.cpp.
    if layer.mode != "LSTM" or x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return "native"
    taken = x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return "onednn" if taken else "native"
