"""`decide` end to end through the real command line, on runs that train."""

import json
import os
import subprocess
import sys

BETTER = ["--task", "locality2d:height=4,width=8,noise=0.1", "--arch", "local-attention:window=2", "--protocol"]
BETTER += ["standard:steps=100,width=16,learning_rate=0.02,validation_samples=16,test_samples=256,evaluate_every=100"]
ALIKE = ["--task", "locality2d:height=4,width=8,noise=0.1", "--arch", "global-attention:positions=2d", "--protocol"]
ALIKE += ["standard:steps=10,batch_size=16,width=16,validation_samples=16,test_samples=256,evaluate_every=10"]
SCANS = ["--scan", "horizontal", "hilbert", "--device", "cpu", "--workers", "0"]


def decide(*arguments, cwd, check=0):
    result = subprocess.run(
        [sys.executable, "-m", "harness", "decide", *arguments, *SCANS],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert result.returncode == check, result.stderr
    return result


def test_hilbert_is_better_than_rows_for_local_attention_and_the_store_answers_the_second_time(tmp_path):
    first = decide(*BETTER, cwd=tmp_path)
    assert "local-attention:window=2: hilbert against horizontal: better, +0." in first.stdout
    assert "from 6 to 64 seeds" in first.stderr and "12 runs to do" in first.stderr
    again = decide(*BETTER, "--format", "json", cwd=tmp_path)
    (row,) = json.loads(again.stdout)
    assert row["decision"] == "better" and row["low"] > 0 and 6 <= row["seeds"] <= 64
    assert f"{row['runs']} of {row['runs']} runs came from results.sqlite" in again.stderr
    assert "to do" not in again.stderr
    plan = decide(*BETTER, "--plan", cwd=tmp_path)
    assert plan.stdout.strip().endswith(f"better after {row['seeds']} seeds, all there")


def test_no_order_matters_to_global_attention_that_knows_where_tokens_are(tmp_path):
    found = decide(*ALIKE, cwd=tmp_path)
    assert "hilbert against horizontal: equivalent within 0.01" in found.stdout
    assert "14 seeds; at most 19% of seeds differ by more" in found.stdout


def test_one_cell_alone_is_nothing_to_decide(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "harness", "decide", *ALIKE], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "give two of one" in result.stderr and list(tmp_path.iterdir()) == []
