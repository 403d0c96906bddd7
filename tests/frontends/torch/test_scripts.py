"""Scripts written for CUDA run unedited and print what they print on the CPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from anychip.frontends.torch.conformance import scripts

FOLDER = Path(__file__).parent / "scripts"
ROOT = Path(__file__).resolve().parents[3]
QUICK = (
    "devices.py",
    "identity.py",
    "save_load.py",
    "compiled.py",
    "xla_train.py",
    "ddp.py",
    "derivatives.py",
    "losses_and_averages.py",
    "queues_and_tools.py",
)


@pytest.mark.parametrize("name", QUICK)
def test_prints_what_the_cpu_prints(name: str) -> None:
    (case,) = scripts.run(str(FOLDER), only=name).cases
    assert case.outcome == "pass", case.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.py") if path.name not in QUICK))
def test_prints_what_the_cpu_prints_too(name: str) -> None:
    (case,) = scripts.run(str(FOLDER), only=name).cases
    assert case.outcome == "pass", case.reason


def run_on_device(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(text)
    return subprocess.run(
        [sys.executable, "-c", scripts._ON_DEVICE, str(script), "argument"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


def test_exit_codes_and_arguments_are_the_scripts(tmp_path: Path) -> None:
    done = run_on_device(tmp_path, "import sys; print(__name__, sys.argv[1:]); sys.exit(7)")
    assert (done.returncode, done.stdout) == (7, "__main__ ['argument']\n")


def test_code_that_cannot_exist_names_the_line_and_the_alternative(tmp_path: Path) -> None:
    done = run_on_device(tmp_path, "import torch\nx = torch.ones(1).cuda()\nimport flash_attn\n")
    last = done.stderr.strip().splitlines()[-1]
    assert "script.py:3: flash_attn: flash-attn is a CUDA extension" in last
    assert "scaled_dot_product_attention" in last


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "load_inline('swish', cpp_sources='', cuda_sources='__global__ void f() {}')",
            "extension swish: CUDA sources run on NVIDIA's GPUs only; use PyTorch operators instead",
        ),
        (
            "torch.cuda.jiterator._create_jit_fn('template <typename T> T f(T x) { return x; }')",
            "torch.cuda.jiterator: CUDA sources run on NVIDIA's GPUs only; use PyTorch operators instead",
        ),
        (
            "torch.empty(1 << 47, dtype=torch.uint8, device='cuda')",
            "this machine cannot hold the values of a tensor of 128 TiB; run with --no-values, which needs "
            "shapes only",
        ),
    ],
)
def test_what_cannot_run_here_names_its_line(tmp_path: Path, line: str, message: str) -> None:
    text = f"import torch\nfrom torch.utils.cpp_extension import load_inline\n{line}\n"
    done = run_on_device(tmp_path, text)
    assert done.stderr.strip().splitlines()[-1].endswith(f"script.py:3: {message}")


_COPIES = "print(sum(each.to_device_bytes for each in capture.graph().transfers))"


_DATA_PARALLEL = (
    "import os, torch\nfrom torch import nn\n"
    "os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT='0')\n"
    "torch.distributed.init_process_group('nccl', rank=0, world_size=1)\n"
    "model = nn.parallel.DistributedDataParallel(nn.Linear(16, 8).cuda(), device_ids=[0])\n"
    "for _ in range(3):\n    model(torch.ones(2, 16, device='cuda')).sum().backward()\n"
)


def test_gradients_that_are_reduced_stay_on_the_device(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_DATA_PARALLEL)
    command = [sys.executable, "-c", scripts._ON_DEVICE + _COPIES, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    model_bytes = (16 * 8 + 8) * 4
    assert model_bytes <= int(done.stdout) < 2 * model_bytes, "the model once, and a few integers"


_OPERATORS = """\
import collections, sys
from anychip.run import captured_script
graph = captured_script(sys.argv[1], [], with_values=sys.argv[2] == "yes")
names = (node.operator for index in graph.path for node in graph.segments[index].nodes)
print(sorted(collections.Counter(name for name in names if not name.startswith("c10d")).items()))
"""


def test_gradients_are_copied_into_buckets_without_values_too(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_DATA_PARALLEL)
    counts: list[str] = []
    for values in ("yes", "no"):
        command = [sys.executable, "-c", _OPERATORS, str(script), values]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
        counts.append(done.stdout)
    assert "aten.mul.out" in counts[0]
    assert counts[0] == counts[1]


def test_data_parallel_training_runs_without_values() -> None:
    command = "-m anychip run --chip trn1 --no-values --quiet".split()
    script = str(FOLDER / "ddp.py")
    done = subprocess.run([sys.executable, *command, script], capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


_ELSEWHERE = """\
import sys, torch, torch.multiprocessing as processes
class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 2
    def __getitem__(self, index):
        return torch.ones(2).cuda()
def work(rank):
    torch.ones(2).cuda() * 2
if __name__ == "__main__":
    (torch.ones(2).cuda() * 2).sum()
    HOW
"""


@pytest.mark.parametrize(
    "how",
    [
        "processes.spawn(work, nprocs=2)",
        "p = processes.get_context('fork').Process(target=work, args=(0,)); p.start(); p.join()",
        "p = processes.get_context('spawn').Process(target=work, args=(0,)); p.start(); p.join()",
        "p = processes.get_context('spawn').Process(target=work, args=(torch.ones(1).cuda(),)); p.start()",
        "next(iter(torch.utils.data.DataLoader(Rows(), num_workers=1)))",
    ],
)
def test_the_device_in_another_process_is_an_error(tmp_path: Path, how: str) -> None:
    done = run_on_device(tmp_path, _ELSEWHERE.replace("HOW", how))
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith(
            "script.py: a process that the script started uses the device, and its work would be lost: one "
            "process is simulated; start one rank (nprocs=1), or leave the device to the script's own process"
        )
    )


def test_host_work_in_other_processes_goes_on(tmp_path: Path) -> None:
    text = "pool = processes.get_context('spawn').Pool(1); print(pool.map(len, ['ab', 'c']))"
    done = run_on_device(tmp_path, _ELSEWHERE.replace("HOW", text))
    assert (done.returncode, done.stdout) == (0, "[2, 1]\n")


def test_profiling_prints_nothing_of_its_own(tmp_path: Path) -> None:
    done = run_on_device(
        tmp_path,
        "import torch\nfrom torch.profiler import ProfilerActivity, profile\nx = torch.ones(4).cuda()\n"
        "with profile(activities=[ProfilerActivity.CUDA]) as traced:\n    x + x\n",
    )
    assert done.returncode == 0 and "CUDA" not in done.stderr


def test_scripted_code_sees_factories_without_values(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\n@torch.jit.script\ndef shifted(x: torch.Tensor):\n    return x + torch.zeros([2])\n"
        "x = torch.ones(2).cuda()\nprint(shifted(torch.ones(2)).tolist(), (x + x).shape)\n"
    )
    command = [
        sys.executable,
        "-m",
        "anychip",
        "run",
        "--chip",
        "trn1",
        "--no-values",
        "--quiet",
        str(script),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (0, "[1.0, 1.0] torch.Size([2])\n"), done.stderr


def test_words_are_compared_exactly_and_numbers_within_tolerance() -> None:
    def outcome(one: str, other: str) -> str:
        return scripts.compare_output("x", one, other, relative=0.01, absolute=0.0).outcome

    assert outcome("loss 1.000", "loss 1.009") == "pass"
    assert outcome("loss 1.000", "loss 1.02") == "fail"
    assert outcome("loss 1", "cost 1") == "fail"
    assert outcome("loss nan", "loss 1") == "fail"
    assert outcome("a\nb", "a") == "fail"
    assert outcome("took 3 seconds", "took 9 seconds") == "pass"
