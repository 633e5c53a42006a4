"""For all tests: hypothesis does not measure time, as the machine may be busy with something else."""

from hypothesis import HealthCheck, settings

settings.register_profile("enqueuer", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("enqueuer")
