"""Functions that are called before and after an optimizer's steps, as in PyTorch."""
from minilayer._ext.runtime import cannot_repeat
from minilayer.gradients import Hook


class StepHooks:
    """What an Optimizer, which defines `_step`, knows of hooks."""
    _hooks: tuple = ()          # (the functions to call before a step, those after it), once one was registered

    def register_step_pre_hook(self, hook) -> Hook:
        """Call `hook(optimizer, args, kwargs)` before each step, args being (optimizer,) or (optimizer, closure); the
        (args, kwargs) that it returns (not None) replace them. The result's remove() takes the hook away again."""
        return Hook(self._lists()[0], hook)

    def register_step_post_hook(self, hook) -> Hook:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return Hook(self._lists()[1], hook)

    def _lists(self):
        self._hooks = self._hooks or ([], [])
        return self._hooks

    def _step_with_hooks(self, closure):
        name = type(self).__name__
        cannot_repeat(f"the hooks of {name}'s step")
        before, after = self._hooks
        args, kwargs = (self,) if closure is None else (self, closure), {}
        for hook in list(before):
            changed = hook(self, args, kwargs)
            if changed is not None:
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise RuntimeError(f"{name}: expected a hook before a step to return None or (args, kwargs), got {changed!r}")
                args, kwargs = changed
        loss = type(self)._step(*args, **kwargs)
        for hook in list(after):
            hook(self, args, kwargs)
        return loss
