module ghostship.dev/e2e/cluster/probe

go 1.26.0

tool ghostship.dev/e2e/cluster/probe
