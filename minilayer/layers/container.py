"""Layers made of layers: Sequential runs them in order; ModuleList and ModuleDict only hold them."""
from collections import OrderedDict

from minilayer.layers.layer import Layer


def _checked(layer, where):
    if not isinstance(layer, Layer):
        raise TypeError(f"{where}: expected Layers, got {type(layer).__name__}")
    return layer


class _Numbered(Layer):
    """Children named 0, 1, 2, ..."""

    def _layers_in_order(self):
        return [self.__dict__[name] for name in self._kinds]

    def _renumber(self, layers):
        for name in list(self._kinds):
            delattr(self, name)
        for i, layer in enumerate(layers):
            self.add_module(str(i), _checked(layer, type(self).__name__))

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
        setattr(self, list(self._kinds)[self._place(i)], _checked(layer, type(self).__name__))

    def __delitem__(self, i):
        layers = self._layers_in_order()
        del layers[i if isinstance(i, slice) else self._place(i)]
        self._renumber(layers)

    def append(self, layer):
        """Add a layer at the end; returns self."""
        self.add_module(str(len(self)), _checked(layer, "append"))
        return self

    def extend(self, layers):
        """Add layers at the end; returns self."""
        for layer in layers:
            self.append(layer)
        return self

    def insert(self, i, layer):
        """Put a layer before position i."""
        layers = self._layers_in_order()
        layers.insert(i, _checked(layer, "insert"))
        self._renumber(layers)


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

    def forward(self, x):
        for name in self._kinds:
            x = self.__dict__[name](x)
        return x


class ModuleList(_Numbered):
    """A list of layers whose parameters are registered; what runs when is up to the layer that holds it.

    >>> blocks = ModuleList([Linear(4, 4) for _ in range(3)])
    >>> len(list(blocks.parameters()))
    6
    """

    def __init__(self, layers=()):
        super().__init__()
        self.extend(layers)

    def _part(self, names):
        return type(self)([self.__dict__[name] for name in names])


class ModuleDict(Layer):
    """A dict of layers whose parameters are registered.

    >>> heads = ModuleDict({"class": Linear(8, 10), "box": Linear(8, 4)})
    >>> sorted(heads.keys())
    ['box', 'class']
    """

    def __init__(self, layers=None):
        super().__init__()
        self.update(layers or {})

    def __getitem__(self, key):
        if key not in self._kinds:
            raise KeyError(f"ModuleDict: no layer {key!r}; its layers: {', '.join(self._kinds) or 'none'}")
        return self.__dict__[key]

    def __setitem__(self, key, layer):
        self.add_module(key, _checked(layer, "ModuleDict"))

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
