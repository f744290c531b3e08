-- Lets the cut-over wait for a human and takes an earlier permission back. An annotation, so that Git
-- keeps spec.postponeCutOver.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["ghostship.dev/cut-over"] = "postpone"
return obj
