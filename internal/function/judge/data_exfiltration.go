package judge

func dataExfiltration() Class {
	return Class{
		ID: "data_exfiltration", Severity: "high",
		Why:  "the rights read secrets, objects or tables of everybody, not of one family",
		Mend: "name the secrets, buckets or tables that are read, at least by a prefix",
		find: func(sc *scene) {
			sc.tell(sc.wide([]string{
				"s3:GetObject", "s3:GetObjectVersion",
				"secretsmanager:GetSecretValue",
				"ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:GetParameterHistory",
				"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQLSelect", "dynamodb:ExportTableToPointInTime",
				"rds:CreateDBSnapshot", "rds:CopyDBSnapshot", "rds:ModifyDBSnapshotAttribute", "rds:CopyDBClusterSnapshot", "rds:ModifyDBClusterSnapshotAttribute", "rds:StartExportTask",
				"rds-data:ExecuteStatement", "redshift-data:ExecuteStatement",
				"ebs:GetSnapshotBlock", "ec2:ModifySnapshotAttribute",
			}), "allows %s on everything there is in the account")
		},
	}
}
