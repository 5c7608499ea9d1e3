"""Layers made of layers: Sequential runs them in order; ModuleList and ModuleDict only hold them, ParameterList and
ParameterDict hold parameters."""
from collections import OrderedDict

from minilayer.layers.layer import Layer, Parameter
from minilayer.tensor import Tensor


def _checked(layer, where):
    if not isinstance(layer, Layer):
        raise TypeError(f"{where}: expected Layers, got {type(layer).__name__}")
    return layer


def _checked_or_none(layer, where):
    return None if layer is None else _checked(layer, where)


class _Numbered(Layer):
    """Children named 0, 1, 2, ..."""
    _check = staticmethod(_checked)

    def _layers_in_order(self):
        return [self.__dict__[name] for name in self._kinds]

    def _renumber(self, layers):
        for name in list(self._kinds):
            delattr(self, name)
        for i, layer in enumerate(layers):
            self.add_module(str(i), self._check(layer, type(self).__name__))

    def __len__(self):
        return len(self._kinds)

    def __iter__(self):
        return iter(self._layers_in_order())

    def _place(self, i):
        if not hasattr(i, "__index__"):
            raise TypeError(f"{type(self).__name__}: expected an integer or a slice as index, got {i!r}")
        i = i.__index__()
        if not -len(self) <= i < len(self):
            raise IndexError(f"{type(self).__name__}: index {i} is out of range for {len(self)} layers")
        return i % len(self)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return self._part(list(self._kinds)[i])
        return self._layers_in_order()[self._place(i)]

    def __setitem__(self, i, layer):
        setattr(self, list(self._kinds)[self._place(i)], self._check(layer, type(self).__name__))

    def __delitem__(self, i):
        layers = self._layers_in_order()
        del layers[i if isinstance(i, slice) else self._place(i)]
        self._renumber(layers)

    def append(self, layer):
        """Add a layer at the end; returns self."""
        self.add_module(str(len(self)), self._check(layer, "append"))
        return self

    def extend(self, layers):
        """Add layers at the end; returns self."""
        if not hasattr(layers, "__iter__"):
            raise TypeError(f"extend: expected several Layers, got {type(layers).__name__}")
        for layer in list(layers):
            self.append(layer)
        return self

    def insert(self, i, layer):
        """Put a layer before position i; returns self."""
        layers = self._layers_in_order()
        if not -len(layers) <= i <= len(layers):
            raise IndexError(f"insert: position {i} is out of range for {len(layers)} layers")
        layers.insert(i, self._check(layer, "insert"))
        self._renumber(layers)
        return self

    def pop(self, i):
        """Take a layer out (or, by a slice, several) and return it."""
        layer = self[i]
        del self[i]
        return layer

    def __iadd__(self, layers):
        return self.extend(self._others(layers, "+="))

    def __add__(self, layers):
        return self._plain().extend(self).extend(self._others(layers, "+"))

    def _others(self, layers, sign):
        return layers

    def __dir__(self):
        return [name for name in super().__dir__() if not name.isdigit()]


class Sequential(_Numbered):
    """Runs layers one after another: y = f_n(... f_2(f_1(x))).

    Takes layers, or one OrderedDict of name to layer. Indexing gives a layer, slicing a Sequential of the same layers.

    >>> model = Sequential(Linear(4, 8), ReLU(), Linear(8, 2))
    >>> model(ones(3, 4)).shape
    (3, 2)
    """

    def __init__(self, *layers):
        super().__init__()
        if len(layers) == 1 and isinstance(layers[0], dict):
            for name, layer in layers[0].items():
                self.add_module(name, _checked(layer, "Sequential"))
        else:
            self.extend(layers)

    def _part(self, names):
        return type(self)(OrderedDict((name, self.__dict__[name]) for name in names))       # the names stay

    def _plain(self):
        return Sequential()

    def _others(self, layers, sign):
        if not isinstance(layers, Sequential):
            raise ValueError(f"Sequential {sign}: expected a Sequential, got {type(layers).__name__}; use .extend(...)")
        return layers

    def _times(self, n):
        if isinstance(n, bool) or not isinstance(n, int):
            raise TypeError(f"Sequential *: expected an integer, got {n!r}")
        if n < 1:
            raise ValueError(f"Sequential *: expected an integer >= 1, got {n}")
        return self._layers_in_order() * n

    def __mul__(self, n):
        """The same layers (and not copies), n times over."""
        return Sequential(*self._times(n))

    __rmul__ = __mul__

    def __imul__(self, n):
        self._renumber(self._times(n))
        return self

    def forward(self, input):
        for name in self._kinds:
            input = self.__dict__[name](input)
        return input


class ModuleList(_Numbered):
    """A list of layers whose parameters are registered; what runs when is up to the layer that holds it. None keeps the
    place of a layer that is left out.

    >>> blocks = ModuleList([Linear(4, 4) for _ in range(3)])
    >>> len(list(blocks.parameters()))
    6
    """
    _check = staticmethod(_checked_or_none)

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def _plain(self):
        return ModuleList()

    def _part(self, names):
        return type(self)([self.__dict__[name] for name in names])


class ModuleDict(Layer):
    """A dict of layers whose parameters are registered; None for one that is left out.

    >>> heads = ModuleDict({"class": Linear(8, 10), "box": Linear(8, 4)})
    >>> sorted(heads.keys())
    ['box', 'class']
    """

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key):
        if key not in self._kinds:
            raise KeyError(f"ModuleDict: no layer {key!r}; its layers: {', '.join(self._kinds) or 'none'}")
        return self.__dict__[key]

    def __setitem__(self, key, layer):
        self.add_module(key, _checked_or_none(layer, "ModuleDict"))

    def __delitem__(self, key):
        self[key]
        delattr(self, key)

    def __len__(self):
        return len(self._kinds)

    def __iter__(self):
        return iter(list(self._kinds))

    def __contains__(self, key):
        return key in self._kinds

    def keys(self):
        return list(self._kinds)

    def values(self):
        return [self.__dict__[k] for k in self._kinds]

    def items(self):
        return [(k, self.__dict__[k]) for k in self._kinds]

    def pop(self, key):
        """Take a layer out and return it."""
        layer = self[key]
        delattr(self, key)
        return layer

    def clear(self):
        for key in self.keys():
            delattr(self, key)

    def update(self, layers):
        """Add layers from a dict, or from pairs of name and layer."""
        for key, layer in (layers.items() if isinstance(layers, (dict, OrderedDict, ModuleDict)) else layers):
            self[key] = layer


def _as_parameter(value):
    """A tensor as a Parameter; anything else as it is."""
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


class _ParameterHolder(Layer):
    """Parameters, and other values, as attributes of the names they are asked for by."""

    def _put(self, name, value):
        value = _as_parameter(value)
        if name in self._kinds and not isinstance(value, Parameter):
            delattr(self, name)
        setattr(self, name, value)

    def __call__(self, *inputs, **kwargs):
        raise RuntimeError(f"{type(self).__name__}: holds parameters and computes nothing; call the layer that holds it")


class ParameterList(_ParameterHolder):
    """A list of parameters that are registered. Tensors become Parameters; other values are kept as they are.

    >>> powers = ParameterList([ones(2), ones(2)])
    >>> powers.append(zeros(3))[2].shape
    (3,)
    """

    def __init__(self, values=None):
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _name_of(self, i):
        if not hasattr(i, "__index__"):
            raise TypeError(f"ParameterList: expected an integer or a slice as index, got {i!r}")
        if not -self._size <= i.__index__() < self._size:
            raise IndexError(f"ParameterList: index {i} is out of range for {self._size} values")
        return str(i.__index__() % self._size)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return type(self)([self[k] for k in range(*i.indices(self._size))])
        return self.__dict__[self._name_of(i)]

    def __setitem__(self, i, value):
        self._put(self._name_of(i), value)

    def __len__(self):
        return self._size

    def __iter__(self):
        return iter([self[i] for i in range(self._size)])

    def append(self, value):
        """Add a value at the end; returns self."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values):
        """Add values at the end; returns self."""
        if isinstance(values, Tensor) or not hasattr(values, "__iter__"):
            raise TypeError(f"ParameterList.extend: expected several values, got {type(values).__name__}; use .append(...) for "
                            "one")
        for value in list(values):
            self.append(value)
        return self

    def __iadd__(self, values):
        return self.extend(values)

    def __dir__(self):
        return [name for name in super().__dir__() if not name.isdigit()]


class ParameterDict(_ParameterHolder):
    """A dict of parameters that are registered. Tensors become Parameters; other values are kept as they are.

    >>> scales = ParameterDict({"left": ones(2), "right": zeros(2)})
    >>> [name for name, _ in scales.named_parameters()]
    ['left', 'right']
    """

    def __init__(self, parameters=None):
        super().__init__()
        self._names = {}
        if parameters is not None:
            self.update(parameters)

    def _known(self, key):
        if not isinstance(key, str):
            raise TypeError(f"ParameterDict: expected a string as key, got {key!r}")
        if key not in self._names:
            raise KeyError(f"ParameterDict: no value {key!r}; its values: {', '.join(self._names) or 'none'}")
        return key

    def __getitem__(self, key):
        return self.__dict__[self._known(key)]

    def __setitem__(self, key, value):
        if not isinstance(key, str):
            raise TypeError(f"ParameterDict: expected a string as key, got {key!r}")
        if key not in self._names:
            self._check_name(key, "ParameterDict")
        self._put(key, value)
        self._names[key] = None

    def __delitem__(self, key):
        delattr(self, self._known(key))
        del self._names[key]

    def __len__(self):
        return len(self._names)

    def __iter__(self):
        return iter(list(self._names))

    def __reversed__(self):
        return reversed(list(self._names))

    def __contains__(self, key):
        return key in self._names

    def keys(self):
        return self._names.keys()

    def values(self):
        return [self[k] for k in self._names]

    def items(self):
        return [(k, self[k]) for k in self._names]

    def get(self, key, default=None):
        """The value of a key, or `default` where there is none."""
        return self[key] if key in self else default

    def setdefault(self, key, default=None):
        """The value of a key, which is put there first where there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key):
        """Take a value out and return it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self):
        """Take the last (key, value) out and return it."""
        if not self._names:
            raise KeyError("ParameterDict.popitem: it is empty")
        key = next(reversed(self._names))
        return key, self.pop(key)

    def clear(self):
        for key in list(self._names):
            del self[key]

    def copy(self):
        """Another dict of the same values."""
        return ParameterDict(OrderedDict(self.items()))

    def fromkeys(self, keys, default=None):
        """A dict with these keys, each with the value `default`."""
        return ParameterDict([(key, default) for key in keys])

    def update(self, parameters):
        """Add values from a dict (a plain one's in the order of its keys), or from pairs of key and value."""
        if not hasattr(parameters, "__iter__"):
            raise TypeError(f"ParameterDict.update: expected a dict or pairs of key and value, got {type(parameters).__name__}")
        if isinstance(parameters, (OrderedDict, ParameterDict)):
            pairs = parameters.items()
        elif hasattr(parameters, "keys"):
            pairs = sorted(parameters.items())
        else:
            pairs = list(parameters)
            for pair in pairs:
                if not hasattr(pair, "__len__") or len(pair) != 2:
                    raise ValueError(f"ParameterDict.update: expected pairs of key and value, got {pair!r}")
        for key, value in pairs:
            self[key] = value

    def __or__(self, other):
        made = self.copy()
        made.update(other)
        return made

    def __ror__(self, other):
        made = ParameterDict(OrderedDict(other.items()))
        made.update(self)
        return made

    def __ior__(self, other):
        self.update(other)
        return self
