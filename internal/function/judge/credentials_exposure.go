package judge

func credentialsExposure() Class {
	return Class{
		ID: "credentials_exposure", Severity: "high",
		Why:  "the rights mint or read credentials of others",
		Mend: `name the users, roles or databases; for people who rotate their own keys, "arn:aws:iam::*:user/${aws:username}"`,
		find: func(sc *scene) {
			sc.tell(sc.wide([]string{
				"iam:CreateAccessKey", "iam:UpdateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile",
				"iam:CreateServiceSpecificCredential", "iam:ResetServiceSpecificCredential",
				"iam:UploadSSHPublicKey", "iam:UploadSigningCertificate",
				"sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity", "sts:GetFederationToken",
				"sso:GetRoleCredentials",
				"cognito-identity:GetOpenIdTokenForDeveloperIdentity",
				"connect:GetFederationToken", "gamelift:RequestUploadCredentials", "codepipeline:PollForJobs",
				"lightsail:GetInstanceAccessDetails", "lightsail:GetRelationalDatabaseMasterUserPassword", "lightsail:DownloadDefaultKeyPair",
				"ec2:GetPasswordData",
				"rds-db:connect", "dsql:DbConnectAdmin", "redshift:GetClusterCredentials", "redshift:GetClusterCredentialsWithIAM", "redshift-serverless:GetCredentials",
				"appsync:CreateApiKey", "mediapackage:RotateChannelCredentials", "mediapackage:RotateIngestEndpointCredentials",
				"bedrock:CallWithBearerToken",
			}), "allows %s for everybody in the account")
		},
	}
}
