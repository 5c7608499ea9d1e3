"""Rows of the containers: misuse. (What they hold and how: test_container.py.)"""
import minilayer as ml
from cases.base import ErrorCase

VALUE = ml.ones(2)


def state_of_another(name):
    return lambda: getattr(ml, name)().load_state_dict({"nobody": VALUE})


ERRORS = [
    *[ErrorCase(f"{name}: state of another model", state_of_another(name), RuntimeError, "unexpected: nobody")
      for name in ("ParameterList", "ParameterDict")],
    *[ErrorCase(f"{name}: called", lambda name=name: getattr(ml, name)()(VALUE), RuntimeError, "holds parameters and computes nothing")
      for name in ("ParameterList", "ParameterDict")],
    ErrorCase("Sequential: insert past the end", lambda: ml.Sequential().insert(1, ml.ReLU()), IndexError, "insert: position 1"),
    ErrorCase("Sequential: extend by a number", lambda: ml.Sequential().extend(1), TypeError, "extend: expected several Layers, got int"),
    ErrorCase("Sequential: plus a list", lambda: ml.Sequential() + [ml.ReLU()], ValueError, "expected a Sequential, got list"),
    ErrorCase("Sequential: half a time", lambda: ml.Sequential(ml.ReLU()) * 0.5, TypeError, "expected an integer, got 0.5"),
    ErrorCase("Sequential: no time", lambda: ml.Sequential(ml.ReLU()) * 0, ValueError, "integer >= 1, got 0"),
    ErrorCase("ParameterList: a tensor alone", lambda: ml.ParameterList(VALUE), TypeError, "append"),
    ErrorCase("ParameterList: beyond the end", lambda: ml.ParameterList([VALUE])[1], IndexError, "index 1 is out of range for 1 values"),
    ErrorCase("ParameterList: a text as index", lambda: ml.ParameterList([VALUE])["a"], TypeError, "integer or a slice"),
    ErrorCase("ParameterDict: no such value", lambda: ml.ParameterDict({"a": VALUE})["b"], KeyError, "no value 'b'; its values: a"),
    ErrorCase("ParameterDict: a number to read by", lambda: ml.ParameterDict()[1], TypeError, "string as key, got 1"),
    ErrorCase("ParameterDict: a number to write by", lambda: ml.ParameterDict([(1, VALUE)]), TypeError, "string as key, got 1"),
    ErrorCase("ParameterDict: a value alone", lambda: ml.ParameterDict(1), TypeError, "a dict or pairs"),
    ErrorCase("ParameterDict: no pairs", lambda: ml.ParameterDict(["abc"]), ValueError, "pairs of key and value, got 'abc'"),
    ErrorCase("ParameterDict: nothing to pop", lambda: ml.ParameterDict().popitem(), KeyError, "it is empty"),
    ErrorCase("ParameterDict: the name of a method", lambda: ml.ParameterDict({"keys": VALUE}), KeyError, "attribute 'keys' already"),
]
