-- Lifts the quarantine of the model that the spec names. Each token acts once; every trial raises the epoch, so this
-- one is fresh, and pressing twice asks for one trial.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["routing.tinydancer.dev/retry"] = "epoch-" .. obj.status.rollout.epoch
return obj
