"""Whatever the parameters, a task either works or says in one line why not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contracts import IGNORE_INDEX
from harness.contracts.errors import UserError
from harness.registry import tasks

MOSTLY_SMALL = 12


def values_of(parameter):
    if parameter.choices:
        return st.sampled_from(parameter.choices)
    if parameter.type is bool:
        return st.booleans()
    low = parameter.range.minimum if parameter.range else 0
    high = parameter.range.maximum if parameter.range else None
    if parameter.type is int:
        return st.integers(int(low), int(min(high or MOSTLY_SMALL, low + MOSTLY_SMALL)))
    if parameter.type is float:
        return st.floats(low, min(high or 1, low + 1), width=32)
    return st.just(parameter.default)


@pytest.mark.parametrize("entry", list(tasks), ids=lambda entry: entry.name)
@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_parameters_give_a_sound_task_or_an_error_of_one_line(entry, given, data):
    values = data.draw(
        st.fixed_dictionaries({}, optional={name: values_of(each) for name, each in entry.parameters.items()})
    )
    texts = {name: entry.parameters[name].format(value) for name, value in values.items()} | given(entry)
    values = entry.resolve(texts)
    try:
        task = entry.create(values)
    except UserError as error:
        assert str(error).startswith(f"task {entry.name}: ") and "\n" not in str(error)
        assert "got " in str(error) and "; " in str(error)
        return
    samples = task.sample("train", 6, 0)
    batch = samples.batch(np.arange(6))
    cells = samples.lengths.max() if task.irregular else task.cells
    assert batch.tokens.shape == (6, cells, task.features)
    assert np.isfinite(batch.tokens).all()
    allowed = {*range(task.classes), IGNORE_INDEX} if task.per_token_targets else set(range(task.classes))
    assert set(batch.target.ravel().tolist()) <= allowed
