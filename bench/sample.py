"""Sampling: our backends beside `transformers.generate` and CTranslate2's own script, on the same prompts.

    python -m bench.sample --model FOLDER [--file gsm8k/test.jsonl] [--problems 8] [--n 4] [--max-tokens 64] [--gpu]

Each engine is a process of its own with one thread; loading and converting are not counted. Prompts are those of the
recipe qwen-0.5b (few-shot, two examples), texts end at the end token or after `--max-tokens`. A token is one that was
drawn. `generate` and the script get the prompts by 32 rows, sorted by length, as their documentation shows. With
`--gpu` transformers, ours and vLLM (where it is installed) sample in bfloat16 there, and counted are seconds.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmst.core.ports import Completion, Request
from mmst.datasets import read_file
from mmst.datasets.generated import generate
from mmst.methods import method
from mmst.methods.prompts import solve_head, solve_prompt

ROWS = 32
TEMPERATURE = 0.7


def requests(arguments: argparse.Namespace) -> list[Request]:
    if arguments.file:
        questions = [item.problem.question for item in read_file("gsm8k", Path(arguments.file))][: arguments.problems]
    else:
        questions = [p.question for p in generate(arguments.problems, 1)]
    return [
        Request(
            id=f"{i}/{name}",
            prompt=solve_prompt(method(name), question, "few-shot", 2),
            shared=len(solve_head(method(name), "few-shot", 2)),
            n=arguments.n,
            seed=i,
            temperature=TEMPERATURE if arguments.n > 1 else 0.0,
            top_p=1.0,
            max_tokens=arguments.max_tokens,
            stop=(),
        )
        for i, question in enumerate(questions)
        for name in ("text", "code")
    ]


Sample = Callable[[list[Request]], int]
"""Completes all requests and returns how many tokens were drawn."""


def drawn(answers: list[list[Completion]]) -> int:
    return sum(c.tokens for answer in answers for c in answer)


def local(folder: Path, dtype: str) -> Sample:
    from mmst.inference.providers.transformers import LocalModel

    model = LocalModel(folder, dtype=dtype, batch=ROWS, trust_remote_code=False).__enter__()
    return lambda asked: drawn(model.sample(asked))


def ours(folder: Path, dtype: str) -> Sample:
    from mmst.inference.providers.ctranslate2 import Ctranslate2Model
    from mmst.inference.providers.ctranslate2_convert import converted

    model = Ctranslate2Model(folder, converted(folder, dtype), dtype=dtype, batch=ROWS).__enter__()
    return lambda asked: drawn(model.sample(asked))


def official(folder: Path, dtype: str) -> Sample:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    device = "cuda" if on_gpu() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).to(device)

    def sample(asked: list[Request]) -> int:
        tokens, n = 0, asked[0].n
        for part in _parts(asked):
            inputs = tokenizer([r.prompt for r in part], return_tensors="pt", padding=True).to(device)
            how: dict[str, Any] = {"do_sample": True, "temperature": TEMPERATURE, "top_k": 0, "top_p": 1.0}
            with torch.inference_mode():
                out = model.generate(
                    **inputs,
                    max_new_tokens=part[0].max_tokens,
                    num_return_sequences=n,
                    pad_token_id=tokenizer.pad_token_id,
                    repetition_penalty=1.0,
                    **(how if n > 1 else {"do_sample": False}),
                )
            for row in out[:, inputs["input_ids"].shape[1] :].tolist():
                ended = next((i + 1 for i, t in enumerate(row) if t == tokenizer.eos_token_id), len(row))
                tokens += ended
        return tokens

    return sample


def script(folder: Path) -> Sample:
    import ctranslate2
    from transformers import AutoTokenizer

    from mmst.inference.providers.ctranslate2_convert import converted

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = ctranslate2.Generator(str(converted(folder, "int8")), compute_type="int8", inter_threads=1, intra_threads=1)

    def sample(asked: list[Request]) -> int:
        tokens = 0
        for part in _parts(asked):
            prompts = [tokenizer.convert_ids_to_tokens(tokenizer(r.prompt)["input_ids"]) for r in part]
            hot = {"sampling_topk": 0, "sampling_temperature": TEMPERATURE, "num_hypotheses": part[0].n}
            results = model.generate_batch(
                prompts,
                max_length=part[0].max_tokens,
                include_prompt_in_result=False,
                return_end_token=True,
                **(hot if part[0].n > 1 else {}),
            )
            tokens += sum(len(ids) for result in results for ids in result.sequences_ids)
        return tokens

    return sample


def vllm(folder: Path) -> Sample:
    from vllm import LLM, SamplingParams  # type: ignore[import-not-found]

    model = LLM(str(folder), dtype="bfloat16", generation_config="vllm", gpu_memory_utilization=0.5)

    def sample(asked: list[Request]) -> int:
        how = [SamplingParams(n=r.n, temperature=r.temperature, seed=r.seed, max_tokens=r.max_tokens) for r in asked]
        answers = model.generate([r.prompt for r in asked], how, use_tqdm=False)
        return sum(len(text.token_ids) for answer in answers for text in answer.outputs)

    return sample


def on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def clock() -> float:
    """CPU seconds of this process; seconds where a GPU works for it."""
    if on_gpu():
        return time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _parts(asked: list[Request]) -> list[list[Request]]:
    ordered, size = sorted(asked, key=lambda r: len(r.prompt)), max(1, ROWS // asked[0].n)
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]


ENGINES: dict[str, Callable[[Path], Sample]] = {
    "transformers.generate": lambda folder: official(folder, "float32"),
    "transformers.generate bfloat16": lambda folder: official(folder, "bfloat16"),
    "ours, local": lambda folder: local(folder, "float32"),
    "ours, local bfloat16": lambda folder: local(folder, "bfloat16"),
    "ours, ctranslate2 float32": lambda folder: ours(folder, "float32"),
    "ours, ctranslate2 int8": lambda folder: ours(folder, "int8"),
    "CTranslate2's script, int8": script,
    "vLLM": vllm,
}
ON_CPU, ON_GPU = list(ENGINES)[:-1], ["transformers.generate bfloat16", "ours, local bfloat16"]


def run_one(arguments: argparse.Namespace) -> None:
    """One engine, in this process: prints tokens, CPU seconds and peak memory."""
    import torch

    torch.set_num_threads(1)
    asked = requests(arguments)
    sample = ENGINES[arguments.one](Path(arguments.model).expanduser())
    before = clock()
    tokens = sample(asked)
    spent = clock() - before
    peak = (
        torch.cuda.max_memory_allocated() / 2**20
        if on_gpu()
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    print(json.dumps({"tokens": tokens, "spent": spent, "peak_mib": peak}))


def main() -> None:
    """Run the engines in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="FOLDER")
    parser.add_argument("--file", default="", help="GSM8K's test.jsonl (generated problems otherwise)")
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--n", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--engines", nargs="+", choices=ENGINES)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        run_one(arguments)
        return
    there = [*ON_GPU, *(["vLLM"] if importlib.util.find_spec("vllm") else [])] if arguments.gpu else ON_CPU
    engines = arguments.engines or there
    found: dict[str, list[dict[str, float]]] = {name: [] for name in engines}
    for _ in range(arguments.rounds):
        for name in engines:
            command = [sys.executable, "-m", "bench.sample", *sys.argv[1:], "--one", name]
            threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
            threads |= {} if arguments.gpu else {"CUDA_VISIBLE_DEVICES": ""}
            done = subprocess.run(command, env=os.environ | threads, stdout=subprocess.PIPE, text=True, check=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(name, found[name][-1], file=sys.stderr, flush=True)
    base, unit = _rate(found[engines[0]]), "s" if arguments.gpu else "CPU s"
    print(f"{'':31}{'tokens':>8}{unit:>8}{'tokens/' + unit:>14}{'peak MiB':>10}  against {engines[0]}")
    for name, runs in found.items():
        tokens, spent = (statistics.median(run[key] for run in runs) for key in ("tokens", "spent"))
        peak = max(run["peak_mib"] for run in runs)
        print(f"{name:31}{tokens:8.0f}{spent:8.1f}{_rate(runs):14.1f}{peak:10.0f}  {_rate(runs) / base:.2f}x")


def _rate(runs: list[dict[str, float]]) -> float:
    return statistics.median(run["tokens"] / run["spent"] for run in runs)


if __name__ == "__main__":
    main()
