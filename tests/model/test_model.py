import numpy as np
import pytest
import torch

from harness.model.backbone import StandardModel
from harness.model.routed import RoutedMixer, padded_route, routing_of
from harness.registry import architectures
from harness.registry.routing import scan_from

GRID = (4, 6)
CELLS = 24
WIDTH = 8


def make_mixer(name="gated-ssm", seed=0):
    entry, values = architectures.parse(name)
    mixer = entry.create(values, width=WIDTH, length=CELLS, grid=GRID, generator=torch.Generator().manual_seed(seed))
    return mixer.double()


def make_model(scan="hilbert", name="gated-ssm", readout="mean", depth=2, gather_once=True):
    _, _, resolved = scan_from(scan)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = StandardModel(
            features=5,
            classes=3,
            width=WIDTH,
            depth=depth,
            expansion=2,
            readout=readout,
            make_mixer=lambda layer, route: make_mixer(name, 10 * layer + route),
            routing=routing_of(resolved, GRID, subject=scan),
        )
    model.gather_once = gather_once and model.gather_once
    return model.double()


def tokens(batch=3, seed=0):
    return torch.randn(batch, CELLS, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("readout", ["mean", "last"])
@pytest.mark.parametrize("name", ["gated-ssm", "local-attention:positions=2d", "local-attention:positions=rotary"])
def test_gathering_once_for_the_whole_model_changes_nothing(readout, name):
    once, each = (make_model(name=name, readout=readout, gather_once=flag) for flag in (True, False))
    torch.testing.assert_close(once(tokens()), each(tokens()), rtol=1e-12, atol=1e-12)


def test_gradients_through_the_permutation_are_those_of_indexing():
    model = make_model("spiral", gather_once=False)
    x = tokens().requires_grad_()
    found = torch.autograd.grad(model(x).sum(), x)[0]
    plain = make_model("spiral")
    y = tokens().requires_grad_()
    assert plain.gather_once  # which indexes
    expected = torch.autograd.grad(plain(y).sum(), y)[0]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_a_mixer_sees_the_steps_in_route_order_and_its_output_goes_back_to_the_cells():
    mixer = make_mixer("gated-ssm:train_projections=true")
    _, _, scan = scan_from("vertical")
    routes = scan.routes(GRID)
    routed = RoutedMixer([mixer], routing_of(scan, GRID, subject="vertical"), WIDTH)
    x = torch.randn(2, CELLS, WIDTH, dtype=torch.float64)
    by_hand = torch.empty_like(x)
    by_hand[:, routes[0]] = mixer(x[:, routes[0]])
    torch.testing.assert_close(routed(x), by_hand)


@pytest.mark.parametrize("merge", ["mean", "sum"])
def test_several_routes_are_merged_in_cell_order(merge):
    mixer = make_mixer()
    _, _, scan = scan_from(f"bidirectional:merge={merge}")
    routed = RoutedMixer([mixer], routing_of(scan, GRID, subject="bidirectional"), WIDTH)
    x = torch.randn(2, CELLS, WIDTH, dtype=torch.float64)
    forwards, backwards = mixer(x), mixer(x.flip(1)).flip(1)
    expected = (forwards + backwards) / (2 if merge == "mean" else 1)
    torch.testing.assert_close(routed(x), expected)


def test_own_parameters_give_each_route_a_mixer_and_shared_ones_do_not():
    assert len(make_model("cross").blocks[0].mixer.mixers) == 4
    assert len(make_model("horizontal+vertical").blocks[0].mixer.mixers) == 1
    assert sum(p.numel() for p in make_model("cross", "mamba").parameters()) > sum(
        p.numel() for p in make_model("horizontal", "mamba").parameters()
    )


def test_the_last_readout_is_the_mean_of_the_routes_final_steps():
    model = make_model("horizontal+vertical.flipped", readout="last", depth=1)
    x = tokens()
    seen = []
    model.norm.register_forward_hook(lambda module, args, output: seen.append(output))
    scores = model(x)
    finals = [int(route[-1]) for route in model.first.routes]
    expected = model.head((seen[0][:, finals[0]] + seen[0][:, finals[1]]) / 2)
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("readout", ["mean", "last"])
@pytest.mark.parametrize(
    "scan",
    ["hilbert", "hilbert.reversed", "bidirectional", "cross", "continuous", "local", "atrous.transposed", "zigma8"],
)
@pytest.mark.parametrize("name", ["gated-ssm", "mamba", "local-attention", "global-attention", "mean-pool"])
def test_padding_never_changes_a_score(scan, name, readout):
    model = make_model(scan, name, readout)
    mask = torch.ones(3, CELLS, dtype=torch.bool)
    mask[1, [0, 7, 23]] = False
    mask[2, 3:] = False  # leaves whole subgrids of the atrous scan without a cell
    x = tokens()
    garbage = torch.where(mask[..., None], x, 1e3 * torch.randn_like(x))
    torch.testing.assert_close(model(x, mask), model(garbage, mask), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("readout", ["mean", "last"])
def test_a_mask_of_all_real_cells_is_no_mask(readout):
    model = make_model("cross", "mamba", readout)
    torch.testing.assert_close(model(tokens(), torch.ones(3, CELLS, dtype=torch.bool)), model(tokens()))


def test_reversal_reverses_real_cells_only():
    mask = torch.tensor([[True, True, False, True, False]])
    route = torch.tensor([4, 3, 2, 1, 0])
    assert padded_route(route, mask).tolist() == [[3, 1, 0, 4, 2]]


@pytest.mark.parametrize("name", ["global-attention", "mean-pool"])
def test_an_order_blind_model_gives_the_same_scores_under_every_scan(name):
    scores = [
        make_model(scan, name)(tokens()) for scan in ("horizontal", "hilbert", "random:seed=3", "spiral.reversed")
    ]
    for other in scores[1:]:
        torch.testing.assert_close(other, scores[0], rtol=1e-10, atol=1e-10)


def test_an_order_aware_model_does_not():
    a, b = (make_model(scan, "mamba")(tokens()) for scan in ("horizontal", "random"))
    assert not torch.allclose(a, b, atol=1e-6)


def test_depth_and_routes_do_not_change_the_frames_initialization():
    from harness.registry.cells import cell_from, protocol_of, task_of

    models = []
    for scan, rate in (("horizontal", 0.003), ("cross", 0.01)):
        cell = cell_from("majority", "mamba", scan, f"standard:learning_rate={rate}")
        models.append(protocol_of(cell).build(cell, task_of(cell), seed=5))
    np.testing.assert_array_equal(models[0].embed.weight.detach(), models[1].embed.weight.detach())
    first = [model.blocks[0].mixer.mixers[0].state_dict() for model in models]
    for name, value in first[0].items():
        assert torch.equal(value, first[1][name])


def routed_by(scan, width=WIDTH, mixers=None):
    routing = routing_of(scan_from(scan)[2], GRID, subject=scan).of_layer(0)
    mixers = mixers or [make_mixer(seed=k) for k in range(routing.mixers_a_layer)]
    return RoutedMixer(mixers, routing, width).double()


def test_the_atrous_scan_mixes_each_subgrid_by_itself():
    routed, x = routed_by("atrous"), torch.randn(2, CELLS, WIDTH, dtype=torch.float64)
    grid = torch.arange(CELLS).reshape(GRID)
    expected = torch.empty_like(x)
    for part in (grid[::2, ::2], grid[1::2, ::2].T, grid[::2, 1::2], grid[1::2, 1::2].T):
        cells = part.flatten()
        expected[:, cells] = routed.mixers[0](x[:, cells])
    torch.testing.assert_close(routed(x), expected)


def test_a_gated_merge_starts_at_half_the_sum_and_learns_to_choose():
    routed = routed_by("bidirectional:merge=gated")
    x = torch.randn(2, CELLS, WIDTH, dtype=torch.float64)
    mixer = routed.mixers[0]
    forwards, backwards = mixer(x), mixer(x.flip(1)).flip(1)
    torch.testing.assert_close(routed(x), (forwards + backwards) / 2)
    with torch.no_grad():
        routed.gates[0, -1], routed.gates[1, -1] = 100.0, -100.0
    torch.testing.assert_close(routed(x), forwards)
    routed(x).square().sum().backward()
    assert routed.gates.grad.isfinite().all() and mixer.w_D.grad.any()


def test_a_direction_embedding_tells_a_shared_mixer_its_route():
    routed = routed_by("continuous")
    x = torch.randn(2, CELLS, WIDTH, dtype=torch.float64)
    with torch.no_grad():
        routed.directions.normal_(generator=torch.Generator().manual_seed(0))
    expected = torch.zeros_like(x)
    for route, direction in zip(routed.routes, routed.directions, strict=True):
        along = torch.empty_like(x)
        along[:, route] = routed.mixers[0]((x + direction)[:, route])
        expected += along
    torch.testing.assert_close(routed(x), expected)


def test_routes_are_handed_out_layer_by_layer():
    model = make_model("mamba-nd", depth=6)
    routes = scan_from("mamba-nd")[2].routes(GRID)
    for layer, block in enumerate(model.blocks):
        assert block.mixer.routes.tolist() == [routes[layer % 4].tolist()]
    one = make_model("mamba-nd", depth=1)
    torch.testing.assert_close(one(tokens()), make_model("horizontal", depth=1)(tokens()))


def test_a_model_can_follow_another_scan_and_come_back():
    model, other = make_model("hilbert"), make_model("spiral")
    before = model(tokens())
    model.follow(routing_of(scan_from("spiral")[2], GRID, subject="spiral"))
    torch.testing.assert_close(model(tokens()), other(tokens()))
    model.follow(routing_of(scan_from("hilbert")[2], GRID, subject="hilbert"))
    assert torch.equal(model(tokens()), before)
    with pytest.raises(ValueError, match="follows 1 routes cannot follow 4"):
        model.follow(routing_of(scan_from("cross")[2], GRID, subject="cross"))
