"""A queue, a recorder and a cluster that do nothing but remember, for tests of what Tune is given and tells."""

from tests.support.studies import trial_record
from trainers.resources import TrialRequest


class FakeRecorder:
    """Remembers what it is told."""

    def __init__(self):
        self.told = []
        self.records = {"k": trial_record(key="k")}

    def on_start(self, key):
        self.told.append(("start", key))

    def on_report(self, record, epochs, note):
        self.told.append(("report", record.key, record.epoch, len(epochs), note))

    def on_end(self, key, status):
        self.told.append(("end", key, status))

    def on_failure(self, key, message, traceback=""):
        self.told.append(("failure", key, message))

    def on_interruption(self, key, how):
        self.told.append(("interruption", key, how))

    def announce(self, line):
        self.told.append(("line", line))


class FakeQueue:
    """So many trials, each to be trained to two epochs; the seeds of those that have ended, and that stand back."""

    def __init__(self, number):
        self.waiting = [trial_record(seed=seed, epoch=1) for seed in range(number)]
        self.ended = []
        self.standing_back = []
        self.recorder = FakeRecorder()

    def next_trial(self):
        return (self.waiting.pop(0), 2) if self.waiting else None

    def on_trial_end(self, record):
        self.ended.append(record.seed)

    def let_another_go_first(self, record):
        self.standing_back.append(record.key)


class FakeCluster:
    """Room for so many trials, each of which needs a GPU if there are any."""

    def __init__(self, trials_at_a_time, gpus=0):
        self.room = trials_at_a_time
        self.gpus = gpus
        self.request = TrialRequest(cpus=1, gpus=float(gpus > 0))
        self.excluded = []

    def trials_at_a_time(self):
        return self.room

    def exclude(self, gpu):
        self.excluded.append(gpu)

    def healthy_gpus(self):
        return self.gpus - len(self.excluded)

    def lacks_healthy_gpus(self):
        return bool(self.excluded) and not self.healthy_gpus()
