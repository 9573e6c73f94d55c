package apply

import (
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
)

func TestAFunctionIsAppliedAfterItsRole(t *testing.T) {
	role := stageOf(gitops.ID{Group: gitops.LambdaGroup, Kind: gitops.LambdaRoleKind, Name: "r"})
	function := stageOf(gitops.ID{Group: gitops.LambdaGroup, Kind: gitops.LambdaFunctionKind, Name: "f"})
	if role >= function {
		t.Errorf("the role is in stage %s, the function in %s", stageNames[role], stageNames[function])
	}
}
