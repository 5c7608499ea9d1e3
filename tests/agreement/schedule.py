"""Learning-rate schedules: thirty steps of two groups."""
from agreement.row import Each, Row


def made(*names):
    """Schedules inside schedules, each library's own."""
    def call(make, optimizer, options):
        from_library = optimizer.__class__.__module__.partition(".")[0]
        L = __import__(f"{from_library}.optim.lr_scheduler", fromlist=["x"])
        inner = [L.LinearLR(optimizer, 0.2, total_iters=4), L.ExponentialLR(optimizer, 0.9), L.StepLR(optimizer, 3, 0.5)]
        inner = inner[:options.pop("count")]
        if names:
            return make(optimizer, inner, [5, 9][:len(inner) - 1])
        return make(inner, **({"optimizer": optimizer} if options.get("optimizer") else {}))
    return call


start = {"last_epoch": "-1 begins; going on needs a state"}
half = Each(lambda lib: (lambda t: 0.5 ** t), "0.5 ** t")
pair = Each(lambda lib: [lambda t: 0.95 ** t, lambda t: 1 / (1 + t)], "two functions")
ROWS = [
    Row("lr_scheduler.LambdaLR", dict(lr_lambda=[half, pair]), only=start),
    Row("lr_scheduler.MultiplicativeLR", dict(lr_lambda=[half, pair]), only=start),
    Row("lr_scheduler.StepLR", dict(step_size=[3, 1], gamma=[0.1, 0.9]), only=start),
    Row("lr_scheduler.MultiStepLR", dict(milestones=[[2, 5], [3, 3, 20]], gamma=[0.1, 0.5]), only=start),
    Row("lr_scheduler.ConstantLR", dict(factor=[1 / 3, 0.5], total_iters=[5, 8]), only=start),
    Row("lr_scheduler.LinearLR", dict(start_factor=[1 / 3, 0.1], end_factor=[1.0, 0.5], total_iters=[5, 10]), only=start),
    Row("lr_scheduler.ExponentialLR", dict(gamma=[0.9, 0.5]), only=start),
    Row("lr_scheduler.PolynomialLR", dict(total_iters=[5, 20], power=[1.0, 2.0]), only=start),
    Row("lr_scheduler.CosineAnnealingLR", dict(T_max=[10, 40], eta_min=[0.0, 0.01]), only=start),
    Row("lr_scheduler.CosineAnnealingWarmRestarts", dict(T_0=[4, 7], T_mult=[1, 2], eta_min=[0.0, 0.01]), only=start),
    Row("lr_scheduler.CyclicLR", dict(
        base_lr=[0.01, [0.01, 0.02]], max_lr=[0.1, [0.2, 0.3]], step_size_up=[4, 7], step_size_down=[None, 3],
        mode=["triangular", "triangular2", "exp_range"], gamma=[1.0, 0.9], scale_fn=[None, Each(lambda lib: (lambda x: 1 / (1 + x)), "1 / (1 + x)")],
        scale_mode=["cycle", "iterations"], cycle_momentum=[True, False], base_momentum=[0.8, 0.7], max_momentum=[0.9, 0.95]),
        only=start),
    Row("lr_scheduler.OneCycleLR", dict(
        max_lr=[0.1, [0.2, 0.3]], total_steps=[40, None], epochs=[None, 4], steps_per_epoch=[None, 10], pct_start=[0.3, 0.5],
        anneal_strategy=["cos", "linear"], cycle_momentum=[True, False], base_momentum=[0.85, 0.7], max_momentum=[0.95, 0.9],
        div_factor=[25.0, 10.0], final_div_factor=[1e4, 100.0], three_phase=[False, True]), only=start),
    Row("lr_scheduler.ReduceLROnPlateau", dict(
        mode=["min", "max"], factor=[0.1, 0.5], patience=[10, 2], threshold=[1e-4, 0.1], threshold_mode=["rel", "abs"],
        cooldown=[0, 3], min_lr=[0, [0.05, 0.01]], eps=[1e-8, 0.02])),
    Row("lr_scheduler.SequentialLR", dict(count=[1, 2, 3]), call=made("sequential"),
        only={**start, "schedulers": "made by the row", "milestones": "made by the row"}),
    Row("lr_scheduler.ChainedScheduler", dict(count=[1, 2, 3], optimizer=[None, True]), call=made(),
        inert={"optimizer": "left out, it is the schedules' own, and no other may be given"},
        only={"schedulers": "made by the row"}),
]
