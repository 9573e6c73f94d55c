// Package lambda is a target that is one region of one account of AWS: its
// Lambda functions and the IAM roles that they run as.
//
// Start with [Open]. [Target] implements [gitops.Target] and [gitops.Lister] for
// the kinds Function and Role of lambda.apexlogic.com/v1, whose fields are
// [gitops.LambdaFunction] and [gitops.LambdaRole].
//
// # What is compared, and healed
//
// An object is described by everything that decides what the function does and
// who may reach it. What a description has beside the fields that Git can write
// stands in fields of its own, so that it is seen as an addition and taken away.
//
//	of a function                      held to                      put back by
//	image, archive, architecture       Git: digest, S3 version      UpdateFunctionCode
//	environment and its key            Git, no other variables      UpdateFunctionConfiguration
//	runtime, handler, layers, network  Git                          UpdateFunctionConfiguration
//	time, memory, disk, tracing        Git, else AWS's default      UpdateFunctionConfiguration
//	command of an image                none                         UpdateFunctionConfiguration
//	dead letters, mounts, SnapStart    none                         UpdateFunctionConfiguration
//	role it runs as                    Git, of the same source      UpdateFunctionConfiguration
//	reserved concurrency               Git, else none               Put-, DeleteFunctionConcurrency
//	resource policy                    Git, no other statements     Remove-, AddPermission
//	function URL                       Git, else none               Delete-, Update-, CreateFunctionUrlConfig
//	its CORS, its mode                 none, buffered               UpdateFunctionUrlConfig
//	statements of a URL for everybody  both, unless Git has others  Remove-, AddPermission
//	aliases, their shares and URLs     none                         DeleteAlias
//	published versions                 what a revision said         DeleteFunction of the version
//	policies of versions               none                         RemovePermission of the version
//	destinations of results            none                         DeleteFunctionEventInvokeConfig
//	tags                               Git, no others               TagResource, UntagResource
//
//	of a role
//	who may assume it                  Git                          UpdateAssumeRolePolicy
//	inline policies                    Git, no others               Delete-, PutRolePolicy
//	attached policies                  Git, no others               Detach-, AttachRolePolicy
//	permissions boundary               Git, else none               Put-, DeleteRolePermissionsBoundary
//	length of a session                AWS's default                UpdateRole
//	tags                               none                         TagRole, UntagRole
//
// Left alone are what the platform keeps for itself (times, sizes, states, tags
// of aws:…), where a function logs to, how often a failed call is tried, and
// resources of their own: layers, code signing, provisioned concurrency, and the
// mappings of event sources. A mapping fetches with the function's role, whose
// policies are held to; only one of brokers outside of AWS needs no right of it.
//
// # How it is healed
//
// Each write is level-triggered: describe, do the difference, describe again. A
// process that is killed in between leaves what the next one finishes. What is
// in the way of others is closed first (addresses, permissions), what opens
// something is opened last.
//
// The tag apexlogic.com/source says whose an object is, from its creation on.
// What does not carry it is never touched, unless it did while this process
// looked, or the source's inventory names it ([Options.Owned]): then the tag was
// taken away behind Git's back.
//
// # What it asks of AWS
//
// A listing shows what changed of code and configuration, 50 functions a call;
// the rest is described in turn, at six calls for a function and three for a
// role. Of 1,000 functions that rest, a watch asks 170 calls in 30 seconds with
// the defaults, and has described each after 20 minutes. A heal takes about 20.
//
// The rights it needs, beside those that the writes above are named after, are
// lambda:List* and lambda:Get*, iam:ListRoles, ListRolePolicies,
// ListAttachedRolePolicies, GetRole and GetRolePolicy, iam:PassRole for its roles,
// kms:Decrypt for the keys of environments, and s3:GetObjectVersion for archives:
// without that one, an archive is deployed once more after each start.
//
// Sources: AWS Lambda API Reference (2015-03-31), IAM API Reference (2010-05-08),
// Amazon S3 API Reference (2006-03-01).
package lambda
