"""The model of a cell under the standard protocol: the backbone around its mixers, at the width that is asked for."""

from __future__ import annotations

from typing import Any

from harness.contracts import Task
from harness.contracts.errors import Unsupported, UserError
from harness.contracts.seeds import seeded_torch
from harness.model.backbone import StandardModel
from harness.model.matching import REFERENCE, matched_width
from harness.model.routed import RoutedMixer, routing_of
from harness.registry.cells import Cell, cell_from
from harness.registry.routing import scan_from
from harness.training.build import backbone_generator, mixing

from .recipe import StandardRecipe


def build_model(cell: Cell, task: Task, recipe: StandardRecipe, *, seed: int) -> StandardModel:
    """The model of a cell, initialized for a seed, on the CPU.

    The backbone's initialization depends on (protocol shape, seed), a mixer's on (architecture, protocol shape, seed,
    layer, route): not on the scan or the learning rate, so cells are paired seed by seed.
    """
    width = recipe.width
    if recipe.match != "width":
        reference = cell_from(cell.task, REFERENCE, "horizontal", cell.protocol)
        width = matched_width(
            recipe.match,
            lambda width: _build(cell, task, recipe, width=width, seed=0),
            lambda: _build(reference, task, recipe, width=recipe.width, seed=0),
            name=cell.architecture,
        )
    return _build(cell, task, recipe, width=width, seed=seed)


def _build(cell: Cell, task: Task, recipe: StandardRecipe, *, width: int, seed: int) -> StandardModel:
    longest = max(task.longest, *(task.at_length(length).longest for length in recipe.test_lengths), 0)
    if recipe.positions == "learned" and task.irregular:
        raise Unsupported("positions=learned is a table of cells, and these sequences lie anywhere", "take none")
    if recipe.tied_head and task.vocabulary != task.classes:
        raise UserError(
            f"protocol tied_head: the classes must be the vocabulary, got classes={task.classes} and"
            f" vocabulary={task.vocabulary}; take tied_head=false"
        )
    routing, make_mixer = mixing(cell, task, recipe.shape, width=width, seed=seed, longest=longest)
    with seeded_torch(backbone_generator(task, recipe.shape, seed)):
        model = StandardModel(
            features=task.features,
            classes=task.classes,
            width=width,
            depth=recipe.depth,
            expansion=recipe.expansion,
            readout=_readout(task, recipe),
            make_mixer=make_mixer,
            routing=routing,
            vocabulary=task.vocabulary,
            mlp=recipe.mlp,
            positions=recipe.positions,
            cells=longest,
            tied_head=recipe.tied_head,
        )
    if task.next_token:
        _check_order(cell, model)
    return model


def _check_order(cell: Cell, model: StandardModel) -> None:
    """Raise Unsupported where a cell's class could be read off later cells."""
    layers = [module for module in model.modules() if isinstance(module, RoutedMixer)]
    mixers: list[Any] = [mixer for layer in layers for mixer in layer.mixers]
    if not all(mixer.causal for mixer in mixers):
        raise Unsupported(
            f"architecture {cell.architecture} is not causal, and the next token is the answer", "take a causal one"
        )
    for layer in layers:
        if len(layer.routes) > 1 or layer.routes[0].tolist() != list(range(layer.routes.shape[1])):
            raise Unsupported(
                f"scan {cell.scan} visits later cells first, and the next token is the answer", "take horizontal"
            )


def _readout(task: Task, recipe: StandardRecipe) -> str:
    if task.per_token_targets:
        return "decoded" if task.from_final_step else "cells"
    return recipe.readout


def check_transfer(cell: Cell, task: Task, recipe: StandardRecipe, model: StandardModel) -> None:
    """Raises UserError where a scan that the trained model is to be tried along has other routes than its own."""
    for text in recipe.transfer_scans:
        name, _, scan = scan_from(text)
        routes = len(routing_of(scan, task.grid, subject=f"scan {name}").of_layer(0).routes)
        if routes != len(model.first.routes):
            raise UserError(
                f"protocol transfer: the model follows {len(model.first.routes)} routes of {cell.scan}, and {name} has"
                f" {routes}; give scans of as many"
            )
