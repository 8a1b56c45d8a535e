"""Math-Verify's side of `bench/grade.py`, run with its own Python: pairs in, verdicts and CPU seconds out."""

import json
import sys
import time

from math_verify import parse, verify


def main() -> None:
    pairs = [json.loads(line) for line in sys.stdin]
    verify(parse("$1$"), parse("$1$"))  # what is loaded when it is first used is not counted
    began = time.process_time()
    equal = [bool(verify(parse(gold), parse(answer))) for gold, answer in pairs]
    json.dump({"equal": equal, "seconds": time.process_time() - began}, sys.stdout)


if __name__ == "__main__":
    main()
