package doctor

import (
	"context"
	"fmt"
	"time"
)

// check is one entry of the table.
type check struct {
	id    string
	look  func(context.Context, *examined) finding
	limit time.Duration // 0: checkTime
}

// checks are all checks, from what others rest on to what rests on others.
var checks = [...]check{
	{id: "workspace.found", look: workspaceFound},
	{id: "git.path", look: gitOnPath},
	{id: "git.head", look: gitHead},
	{id: "documents.valid", look: documentsValid},
	{id: "policies.ready", look: policiesReady},
	{id: "base.lock", look: baseLock},
	{id: "disk.space", look: diskSpace},
	{id: "state.private", look: statePrivate},
	{id: "ledger.opens", look: ledgerOpens},
	{id: "ledger.check", look: ledgerCheck, limit: ledgerTime},
	{id: "meter.writable", look: meterWritable},
	{id: "registry.reachable", look: registryReachable},
	{id: "api.reachable", look: apiReachable},
	{id: "clock.sane", look: clockSane},
	{id: "docker.config", look: dockerConfig},
}

// finding is what a check returns.
type finding struct {
	status        Status
	evidence, fix string
}

func fine(format string, args ...any) finding {
	return finding{status: OK, evidence: fmt.Sprintf(format, args...)}
}

func skip(why string) finding { return finding{status: Skip, evidence: why} }

func warn(fix, format string, args ...any) finding {
	return finding{Warn, fmt.Sprintf(format, args...), fix}
}

func fail(fix, format string, args ...any) finding {
	return finding{Fail, fmt.Sprintf(format, args...), fix}
}

const noWorkspace = "there is no workspace"
