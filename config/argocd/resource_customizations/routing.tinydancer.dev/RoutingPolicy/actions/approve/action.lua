-- Approves the step that the trial waits for, and no other: status says which text does.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["routing.tinydancer.dev/approve"] = obj.status.rollout.approval
return obj
