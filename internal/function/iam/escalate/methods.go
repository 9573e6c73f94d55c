package escalate

import "slices"

// Method is one way to gain rights.
type Method struct {
	ID   string // "passrole-lambda"
	What string // as the end of a sentence: "runs a new function as a role that it passes"
	// Target is what the first action is about, and decides whom it leads to.
	Target Target
	// Service is what a role is passed to.
	Service string
	// Needs are the actions: one of each group. The first group is about the target.
	Needs [][]string
}

// Target says what a method's first action is about.
type Target uint8

// The targets.
const (
	// OwnPolicy: a managed policy that the principal has. Whoever rewrites it
	// can do anything.
	OwnPolicy Target = iota
	// Self: the principal, or a group it is in. Whoever may attach policies to
	// itself can do anything.
	Self
	// Other: a user or role that the principal then becomes.
	Other
	// Passed: a role that is passed to something which runs the principal's code.
	Passed
	// Running: code that runs already, as a role of its own.
	Running
	// Machine: an instance, as the role of its profile.
	Machine
	// Assumed: a role that trusts the principal.
	Assumed
	// Boundary: the limit of the principal itself.
	Boundary
	// Directory: the organisation's single sign-on.
	Directory
)

// methods is a function so that a start costs nothing.
func methods() []Method {
	one := func(actions ...string) [][]string {
		var needs [][]string
		for _, a := range actions {
			needs = append(needs, []string{a})
		}
		return needs
	}
	pass := func(id, service, what string, rest ...[]string) Method {
		return Method{"passrole-" + id, what, Passed, service, append([][]string{{"iam:PassRole"}}, rest...)}
	}
	any := func(actions ...string) []string { return actions }
	return []Method{
		{"create-policy-version", "writes a new version of a policy that it has", OwnPolicy, "", one("iam:CreatePolicyVersion")},
		{"set-default-policy-version", "brings back an older version of a policy that it has", OwnPolicy, "", one("iam:SetDefaultPolicyVersion")},
		{"attach-user-policy", "attaches any policy to a user", Self, "", one("iam:AttachUserPolicy")},
		{"attach-group-policy", "attaches any policy to a group", Self, "", one("iam:AttachGroupPolicy")},
		{"attach-role-policy", "attaches any policy to a role", Self, "", one("iam:AttachRolePolicy")},
		{"put-user-policy", "writes an inline policy of a user", Self, "", one("iam:PutUserPolicy")},
		{"put-group-policy", "writes an inline policy of a group", Self, "", one("iam:PutGroupPolicy")},
		{"put-role-policy", "writes an inline policy of a role", Self, "", one("iam:PutRolePolicy")},
		{"add-user-to-group", "joins a user to a group with more rights", Self, "", one("iam:AddUserToGroup")},
		{"update-assume-role-policy", "makes a role trust it", Other, "", one("iam:UpdateAssumeRolePolicy")},
		{"create-access-key", "makes an access key of another user", Other, "", one("iam:CreateAccessKey")},
		{"create-login-profile", "sets the first password of another user", Other, "", one("iam:CreateLoginProfile")},
		{"update-login-profile", "changes the password of another user", Other, "", one("iam:UpdateLoginProfile")},
		{"delete-user-boundary", "removes its own permissions boundary", Boundary, "", one("iam:DeleteUserPermissionsBoundary")},
		{"delete-role-boundary", "removes its own permissions boundary", Boundary, "", one("iam:DeleteRolePermissionsBoundary")},
		{"put-user-boundary", "replaces its own permissions boundary", Boundary, "", one("iam:PutUserPermissionsBoundary")},
		{"put-role-boundary", "replaces its own permissions boundary", Boundary, "", one("iam:PutRolePermissionsBoundary")},
		{"assume-role", "assumes a stronger role that trusts it", Assumed, "", one("sts:AssumeRole")},

		{"sso-inline-policy", "writes the policy of a permission set", Directory, "", [][]string{{"sso:PutInlinePolicyToPermissionSet", "sso:AttachManagedPolicyToPermissionSet", "sso:AttachCustomerManagedPolicyReferenceToPermissionSet"}, {"sso:ProvisionPermissionSet"}}},
		{"sso-assignment", "assigns a permission set of its choice", Directory, "", one("sso:CreateAccountAssignment")},
		{"sso-group", "joins a user to a group of the directory", Directory, "", one("identitystore:CreateGroupMembership")},

		pass("lambda", "lambda.amazonaws.com", "runs a new Lambda function as a role that it passes", any("lambda:CreateFunction"),
			any("lambda:InvokeFunction", "lambda:CreateEventSourceMapping", "lambda:AddPermission", "lambda:CreateFunctionUrlConfig", "lambda:InvokeFunctionUrl", "lambda:InvokeAsync")),
		pass("ec2", "ec2.amazonaws.com", "starts an instance with a role that it passes", any("ec2:RunInstances", "ec2:RequestSpotInstances", "ec2:CreateFleet")),
		pass("ec2-associate", "ec2.amazonaws.com", "gives an instance that it can log in to a role that it passes", any("ec2:AssociateIamInstanceProfile", "ec2:ReplaceIamInstanceProfileAssociation"), any("ssm:SendCommand", "ssm:StartSession", "ec2-instance-connect:SendSSHPublicKey")),
		pass("autoscaling", "ec2.amazonaws.com", "starts instances of a group with a role that it passes", any("autoscaling:CreateLaunchConfiguration", "ec2:CreateLaunchTemplate", "ec2:CreateLaunchTemplateVersion"), any("autoscaling:CreateAutoScalingGroup", "autoscaling:UpdateAutoScalingGroup")),
		pass("cloudformation", "cloudformation.amazonaws.com", "creates resources by a stack with a role that it passes", any("cloudformation:CreateStack", "cloudformation:UpdateStack", "cloudformation:CreateStackInstances", "cloudformation:ExecuteChangeSet")),
		pass("datapipeline", "datapipeline.amazonaws.com", "runs a pipeline as a role that it passes", any("datapipeline:CreatePipeline"), any("datapipeline:PutPipelineDefinition")),
		pass("glue-endpoint", "glue.amazonaws.com", "logs in to a development endpoint with a role that it passes", any("glue:CreateDevEndpoint")),
		pass("glue-job", "glue.amazonaws.com", "runs a Glue job as a role that it passes", any("glue:CreateJob", "glue:UpdateJob"), any("glue:StartJobRun", "glue:CreateTrigger", "glue:StartTrigger")),
		pass("glue-session", "glue.amazonaws.com", "runs statements in a Glue session as a role that it passes", any("glue:CreateSession"), any("glue:RunStatement")),
		pass("sagemaker-notebook", "sagemaker.amazonaws.com", "opens a notebook with a role that it passes", any("sagemaker:CreateNotebookInstance"), any("sagemaker:CreatePresignedNotebookInstanceUrl", "sagemaker:CreateNotebookInstanceLifecycleConfig")),
		pass("sagemaker-job", "sagemaker.amazonaws.com", "runs a job of its own image as a role that it passes", any("sagemaker:CreateTrainingJob", "sagemaker:CreateProcessingJob", "sagemaker:CreateHyperParameterTuningJob", "sagemaker:CreateAutoMLJob", "sagemaker:CreatePipeline")),
		pass("codebuild", "codebuild.amazonaws.com", "builds a project as a role that it passes", any("codebuild:CreateProject", "codebuild:UpdateProject"), any("codebuild:StartBuild", "codebuild:StartBuildBatch", "codebuild:CreateWebhook")),
		pass("codepipeline", "codepipeline.amazonaws.com", "runs a pipeline as a role that it passes", any("codepipeline:CreatePipeline", "codepipeline:UpdatePipeline")),
		pass("codestar", "codestar.amazonaws.com", "makes a project whose role it owns", any("codestar:CreateProject")),
		pass("ecs", "ecs-tasks.amazonaws.com", "runs a container as a role that it passes", any("ecs:RegisterTaskDefinition", "ecs:RunTask"), any("ecs:RunTask", "ecs:StartTask", "ecs:CreateService", "ecs:UpdateService")),
		pass("batch", "ecs-tasks.amazonaws.com", "submits a job that runs as a role that it passes", any("batch:RegisterJobDefinition"), any("batch:SubmitJob")),
		pass("states", "states.amazonaws.com", "runs a state machine as a role that it passes", any("states:CreateStateMachine", "states:UpdateStateMachine"), any("states:StartExecution", "states:StartSyncExecution")),
		pass("scheduler", "scheduler.amazonaws.com", "has calls of its choice made as a role that it passes", any("scheduler:CreateSchedule", "scheduler:UpdateSchedule")),
		pass("ssm-automation", "ssm.amazonaws.com", "runs an automation as a role that it passes", any("ssm:StartAutomationExecution")),
		pass("apprunner", "tasks.apprunner.amazonaws.com", "runs a service as a role that it passes", any("apprunner:CreateService", "apprunner:UpdateService")),
		pass("eks-nodes", "ec2.amazonaws.com", "starts nodes with a role that it passes", any("eks:CreateNodegroup")),
		pass("eks-pods", "pods.eks.amazonaws.com", "gives pods a role that it passes", any("eks:CreatePodIdentityAssociation", "eks:UpdatePodIdentityAssociation")),
		pass("emr", "ec2.amazonaws.com", "starts a cluster with a role that it passes", any("elasticmapreduce:RunJobFlow")),
		pass("emr-serverless", "emr-serverless.amazonaws.com", "runs a job as a role that it passes", any("emr-serverless:StartJobRun")),
		pass("airflow", "airflow-env.amazonaws.com", "runs workflows as a role that it passes", any("airflow:CreateEnvironment", "airflow:UpdateEnvironment")),
		pass("agentcore", "bedrock-agentcore.amazonaws.com", "runs code in an interpreter with a role that it passes", any("bedrock-agentcore:CreateCodeInterpreter"), any("bedrock-agentcore:InvokeCodeInterpreter")),

		{"update-function-code", "replaces the code of a function with a stronger role", Running, "", one("lambda:UpdateFunctionCode")},
		{"update-function-configuration", "puts a layer of its own into a function with a stronger role", Running, "", one("lambda:UpdateFunctionConfiguration")},
		{"update-dev-endpoint", "puts its key into a development endpoint with a stronger role", Running, "", one("glue:UpdateDevEndpoint")},
		{"presigned-notebook", "opens a notebook with a stronger role", Running, "", one("sagemaker:CreatePresignedNotebookInstanceUrl")},
		{"start-build", "runs its own build commands in a project with a stronger role", Running, "", one("codebuild:StartBuild")},
		{"update-stack", "changes a stack that has a stronger role", Running, "", one("cloudformation:UpdateStack")},
		{"change-set", "changes a stack that has a stronger role", Running, "", one("cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet")},
		{"update-state-machine", "changes a state machine that has a stronger role", Running, "", [][]string{{"states:UpdateStateMachine"}, {"states:StartExecution", "states:StartSyncExecution"}}},
		{"execute-command", "opens a shell in a container with a stronger role", Running, "", one("ecs:ExecuteCommand")},
		{"pipeline-definition", "changes a pipeline that has a stronger role", Running, "", one("datapipeline:PutPipelineDefinition", "datapipeline:ActivatePipeline")},
		{"codestar-member", "makes itself the owner of a project", Running, "", one("codestar:AssociateTeamMember")},
		{"send-command", "runs commands on instances with a stronger role", Machine, "", one("ssm:SendCommand")},
		{"start-session", "opens a shell on instances with a stronger role", Machine, "", one("ssm:StartSession")},
		{"instance-connect", "logs in to instances with a stronger role", Machine, "", one("ec2-instance-connect:SendSSHPublicKey")},
		{"instance-user-data", "changes what an instance with a stronger role runs when it starts", Machine, "", one("ec2:ModifyInstanceAttribute", "ec2:StopInstances", "ec2:StartInstances")},
	}
}

// probes are the actions that tell a strong principal from a harmless one: those
// that lead further, and those that read or destroy what others keep.
func probes() []string {
	list := []string{
		"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:PutBucketPolicy", "secretsmanager:GetSecretValue", "ssm:GetParameter", "kms:Decrypt",
		"dynamodb:Scan", "dynamodb:DeleteTable", "rds:CreateDBSnapshot", "rds:DeleteDBInstance", "ec2:TerminateInstances", "organizations:LeaveOrganization",
		"cloudtrail:StopLogging", "route53:ChangeResourceRecordSets", "sqs:ReceiveMessage", "iam:CreateUser", "iam:CreateRole", "iam:DeleteUser",
	}
	for _, m := range methods() {
		for _, need := range m.Needs {
			list = append(list, need...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
