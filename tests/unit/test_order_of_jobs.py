"""A workflow gets results of local activities in the order in which a replay delivers them."""

from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob

from workflows.runner import _one_by_one


def _result(number: int, *, is_local: bool = True) -> WorkflowActivationJob:
    job = WorkflowActivationJob()
    job.resolve_activity.seq, job.resolve_activity.is_local = number, is_local
    return job


def _timer() -> WorkflowActivationJob:
    job = WorkflowActivationJob()
    job.fire_timer.seq = 1
    return job


def test_each_local_result_is_processed_separately_after_everything_else() -> None:
    jobs = [_result(2), _result(1), _result(3, is_local=False), _timer()]
    acts = _one_by_one(WorkflowActivation(run_id="run", history_length=9, jobs=jobs))
    assert [list(act.jobs) for act in acts] == [jobs[2:], jobs[:1], jobs[1:2]]
    assert {(act.run_id, act.history_length) for act in acts} == {("run", 9)}


def test_an_activation_of_one_kind_is_not_copied() -> None:
    for jobs in ([_result(1)], [_timer(), _result(1, is_local=False)]):
        act = WorkflowActivation(jobs=jobs)
        assert _one_by_one(act) == [act]
