"""Agreement with PyTorch where it is not installed: what PyTorch gave (goldens/agreement.json, three numbers an array).

`./dev agreement` compares everything with PyTorch itself; `python tests/agreement/run.py --goldens` writes the file.
"""
import json
import warnings

import numpy as np
import pytest
from agreement.compare import Library
from agreement.run import GOLDENS, cases_of, families, fingerprint, is_layer, numbered, rows_of, runner_of, shown

KEPT = json.loads(GOLDENS.read_text(encoding="utf-8")) if GOLDENS.exists() else {}
ROWS = dict(numbered(row for family in families() for row in rows_of(family)))


def test_every_row_has_its_golden():
    assert [key for key in ROWS if key not in KEPT] == [], "python tests/agreement/run.py --goldens"


@pytest.mark.parametrize("key", ROWS)
def test_agrees_with_what_pytorch_gave(key):
    row, wanted = ROWS[key], {g["case"]: g["prints"] for g in KEPT.get(key, [])}
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in cases_of(row, is_layer(row)):
            if shown(case) in wanted and shown(case) not in found:
                result = runner_of(row)(row, case[0], Library("minilayer"), "float64", *case[1:])
                assert result.error is None, f"{shown(case)}: {result.error!r}"
                found[shown(case)] = fingerprint(result)
                if len(found) == len(wanted):
                    break
    assert set(found) == set(wanted), "the row's options changed: write the goldens anew"
    for case, prints in wanted.items():
        assert set(found[case]) == set(prints), case
        for name, numbers in prints.items():
            slack = 10 * row.bound[0] if row.bound[1] else 1e-8
            np.testing.assert_allclose(found[case][name], numbers, rtol=1e-9, atol=slack, err_msg=f"{case}: {name}")
