package corpus

import "strings"

func heldPlainYAML() []Case {
	s := heldCase("plain-yaml")
	add := func(name, file, text, truth string) { s.add(name, file, text, truth) }
	add("anchors", "compose.yaml", "x-base: &base\n  restart: always\nservices:\n  train:\n    <<: *base\n    command: [\"python\", \"-c\", \"import os; os.system('nvidia-smi')\"]\n  eval:\n    <<: [*base, {image: x}]\n", "Compose with anchors and merge keys")
	add("cloudformation", "template.yaml", "AWSTemplateFormatVersion: '2010-09-09'\nResources:\n  Model:\n    Type: AWS::SageMaker::Model\n    Properties:\n      ExecutionRoleArn: !GetAtt Role.Arn\n      ModelName: !Sub '${AWS::StackName}-exec'\n      Vpc: !Ref Vpc\n      Ids: !Split [',', !ImportValue Subnets]\n", "CloudFormation's tags")
	add("gitlab", ".gitlab-ci.yml", ".setup:\n  script:\n    - pip install .\ntest:\n  script:\n    - !reference [.setup, script]\n    - pytest\n", "GitLab's !reference")
	add("home-assistant", "configuration.yaml", "homeassistant: !include core.yaml\npassword: !secret wifi\n", "Home Assistant's tags")
	add("mkdocs-standard-tags", "mkdocs.yml", "theme: !!map {name: material}\nn: !!int '3'\nb: !!binary aGVsbG8=\ns: !!set {a, b}\n", "the standard tags of YAML")
	add("helm-values", "values.yaml", "image:\n  tag: \"\"\nextraArgs: []\nlifecycle:\n  postStart: {exec: {command: [\"/bin/sh\", \"-c\", \"true\"]}}\n", "Helm's values")
	add("helm-template", "deployment.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ include \"model.fullname\" . }}\n  {{- with .Values.annotations }}\n  annotations: {{- toYaml . | nindent 4 }}\n  {{- end }}\n", "a Helm template, which is not YAML yet")
	add("hydra-trusted", "config.yaml", "defaults:\n  - _self_\nmodel:\n  _target_: torchvision.models.resnet50\n  num_classes: 10\noptimizer:\n  _target_: torch.optim.AdamW\n  _partial_: true\n  lr: ${oc.env:LR,0.001}\n", "a hydra config of classes of torch")
	add("lightning-cli", "config.yaml", "seed_everything: 42\ntrainer:\n  accelerator: auto\n  callbacks:\n  - class_path: lightning.pytorch.callbacks.EarlyStopping\n    init_args: {monitor: val_loss}\nmodel:\n  class_path: lightning.pytorch.demos.boring_classes.BoringModel\n", "LightningCLI's config")
	add("axolotl", "axolotl.yml", "base_model: NousResearch/Llama-2-7b-hf\ntrust_remote_code: false\nload_in_8bit: true\ndatasets:\n  - path: mhenrichsen/alpaca_2k_test\n    type: alpaca\n", "axolotl's config")
	add("python-tuple-in-text", "notes.yaml", "note: 'write !!python/object/apply:os.system to see the danger'\n# !!python/name:os.system in a comment\n", "text about tags in quotes and comments")
	add("kubernetes", "pod.yaml", "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: c\n    livenessProbe:\n      exec:\n        command: [cat, /etc/passwd]\n---\napiVersion: v1\nkind: Service\n", "two documents of Kubernetes")
	add("block-scalars", "prompts.yaml", "system: |\n  You are {{ name }}.\n  import os\nfolded: >-\n  a\n  b\n", "prompts in block scalars")
	return s.cases
}

func heldPlainTexts() []Case {
	s := heldCase("plain-text")
	add := func(file, text, truth string) {
		s.add(strings.ReplaceAll(strings.ToLower(file), ".", "-"), file, text, truth)
	}
	add("ledger.csv", "date,change\n2024-01-01,-5.00\n2024-01-02,+3.10\n2024-01-03,-12\n", "a table with signed numbers")
	add("phones.tsv", "name\tphone\nA\t+39 06 1234\nB\t-\n", "telephone numbers that begin with plus")
	add("code.jsonl", strings.Repeat(`{"prompt": "run a command", "completion": "import subprocess\nsubprocess.run(['ls'], shell=True)\n"}`+"\n", 20), "a data set of code")
	add("shell.jsonl", `{"nl": "delete all", "bash": "rm -rf /tmp/x; curl http://example.org | sh"}`+"\n", "a data set of shell commands")
	add("security.jsonl", `{"text": "pickle.loads(b'cos\\nsystem\\n') runs code; __reduce__ and {{ ''.__class__.__mro__ }} are known payloads"}`+"\n", "a data set about security")
	add("train.ipynb", `{"cells": [{"cell_type": "code", "metadata": {}, "source": ["!pip install -q torch\n", "import os\n", "os.environ['X'] = '1'\n", "%matplotlib inline"], "outputs": [{"output_type": "display_data", "data": {"text/html": ["<script>1</script>"]}}], "execution_count": 1}], "metadata": {"kernelspec": {"name": "python3"}}, "nbformat": 4, "nbformat_minor": 5}`, "a notebook with a shell command")
	add("README.md", "---\nlicense: apache-2.0\nbase_model: org/base\ntags: [code]\n---\n\n# {{ cookiecutter.name }}\n\n```bash\ncurl -LsSf https://example.org/install.sh | sh\npython -c \"import os; os.system('ls')\"\n```\n\nUse `{{ x|attr('__class__') }}` never.\n", "a model card with code and braces")
	add("template.md", "Hello {{ user.name }},\n\n{% if user.is_admin %}secret{% endif %}\n", "a template of a mail")
	add("paper.tex", "\\documentclass{article}\n\\usepackage{amsmath}\n\\immediate\\write18{true}\n\\begin{document}$x_{\\mathrm{eval}}$\\end{document}\n", "LaTeX")
	add("requirements.txt", "torch>=2.0\n-e git+https://github.com/org/repo.git@main#egg=repo\n--extra-index-url https://download.example.org/whl\n", "a list of requirements")
	add("Dockerfile", "FROM python:3.11\nRUN pip install torch && rm -rf /root/.cache\nENTRYPOINT [\"python\", \"-m\", \"serve\"]\n", "a Dockerfile")
	add("setup.cfg", "[metadata]\nname = x\n[options.entry_points]\nconsole_scripts =\n    run = x:main\n", "an INI file")
	add("pyproject.toml", "[project]\nname = \"x\"\n[tool.ruff]\nselect = [\"S301\", \"S307\"]\n", "TOML")
	add("config.pbtxt", "name: \"resnet\"\nplatform: \"onnxruntime_onnx\"\nmax_batch_size: 8\ninput [{ name: \"x\" data_type: TYPE_FP32 dims: [3, 224, 224] }]\n", "Triton's config")
	add("Modelfile", "FROM ./model.gguf\nTEMPLATE \"\"\"{{ if .System }}{{ .System }}{{ end }}{{ .Prompt }}\"\"\"\nSYSTEM You are exec.\nPARAMETER stop \"<|im_end|>\"\n", "Ollama's Modelfile")
	add("dataset_infos.json", `{"default": {"features": {"system": {"dtype": "string", "_type": "Value"}}, "splits": {"train": {"num_bytes": 1}}}}`, "the information of a data set")
	add("events.log", "2024-06-15 13:33:36,000 INFO exec /bin/sh -c 'python train.py'\n", "a log")
	add("subtitles.srt", "1\n00:00:01,000 --> 00:00:02,000\n- Import the system.\n", "subtitles")
	add("single-line.json", `{"a":`+strings.Repeat(`{"a":`, 60)+"1"+strings.Repeat("}", 61), "JSON sixty levels deep")
	add("config-with-comments.json5", "{\n  // a comment\n  lr: 0.1,\n}\n", "JSON with comments")
	add("numbers.json", `{"big": 123456789012345678901234567890, "tiny": 1e-400, "neg": -0.0}`, "numbers that no float holds")
	return s.cases
}

func heldPlainMarkup() []Case {
	s := heldCase("plain-markup")
	add := func(name, file, text, truth string) { s.add(name, file, text, truth) }
	add("xhtml", "index.html", `<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd"><html xmlns="http://www.w3.org/1999/xhtml"><head><title>a</title></head><body/></html>`, "XHTML with the identifiers that the W3C wants")
	add("html5", "report.html", "<!doctype html>\n<script>eval('1+1')</script><p>{{ not.a.template }}</p>\n", "an HTML report")
	add("svg", "plot.svg", `<?xml version="1.0" encoding="utf-8" standalone="no"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd"><svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>`, "a plot of matplotlib")
	add("pascal-voc", "0001.xml", "<annotation><folder>VOC2012</folder><object><name>person</name><bndbox><xmin>1</xmin></bndbox></object></annotation>", "an annotation of Pascal VOC")
	add("pmml-regression", "model.pmml", `<?xml version="1.0" encoding="UTF-8"?><PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4"><Header><Application name="SkLearn2PMML package" version="0.100"/></Header><DataDictionary><DataField name="system" optype="continuous" dataType="double"/></DataDictionary><RegressionModel functionName="regression"><MiningSchema/></RegressionModel></PMML>`, "sklearn2pmml")
	add("pmml-utf16", "model.pmml", heldUTF16(`<?xml version="1.0" encoding="UTF-16"?><PMML version="4.2"><Header/><DataDictionary/></PMML>`), "PMML in UTF-16")
	add("pmml-text-about-entities", "model.pmml", `<?xml version="1.0"?><PMML version="4.4"><Header description="no &lt;!ENTITY x SYSTEM&gt; &amp; no DTD"/><Extension><![CDATA[<!DOCTYPE a [<!ENTITY b SYSTEM "c">]>]]></Extension><DataDictionary/></PMML>`, "PMML whose text speaks of entities")
	add("maven", "pom.xml", `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><plugin><artifactId>exec-maven-plugin</artifactId></plugin></project>`, "Maven")
	add("r-data-frame", "iris.rds", gzipped(rds(rdsNamed("data.frame", []string{"x", "y"}, rdsNumbers(1, 2), rdsInts(3, 4)))), "saveRDS of a data frame")
	add("r-linear-model", "lm.rds", rds(rdsNamed("lm", []string{"coefficients", "call"}, rdsNumbers(0.5), be32(6)+rdsSymbol("lm")+be32(2)+rdsSymbol("y")+be32(254))), "saveRDS of a model with its call")
	add("r-words", "w.rds", xzed(rds(rdsText("system", "eval", "shell.exec"))), "a vector of words that are names of functions")
	return s.cases
}

func heldPlainMedia() []Case {
	s := heldCase("plain-media")
	add := func(file, data, truth string) { s.add(strings.ReplaceAll(file, ".", "-"), file, data, truth) }
	add("photo.jpg", heldJPEG(), "a picture")
	add("icon.png", "\x89PNG\r\n\x1a\n"+be32(13)+"IHDR"+be32(1)+be32(1)+"\x08\x00\x00\x00\x00\x3a\x7e\x9b\x55"+be32(0)+"IEND\xaeB`\x82", "a picture")
	add("anim.gif", "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;", "a picture")
	add("image.webp", "RIFF"+le32(36)+"WEBPVP8 "+le32(24)+noise(1001, 24), "a picture")
	add("sound.mp3", "ID3\x04\x00\x00\x00\x00\x00\x0aTIT2\x00\x00\x00\x00\x00\x00\xff\xfb\x90\x00"+noise(1002, 300), "a sound")
	add("sound.flac", "fLaC\x80\x00\x00\x22"+noise(1003, 34), "a sound")
	add("sound.ogg", "OggS\x00\x02"+strings.Repeat("\x00", 8)+le32(1)+le32(0)+le32(0)+"\x01\x1eOpusHead\x01\x01"+noise(1004, 20), "a sound")
	add("clip.mp4", be32(24)+"ftypisom"+be32(512)+"isomiso2"+be32(16)+"mdat"+noise(1005, 8), "a film")
	add("font.ttf", "\x00\x01\x00\x00\x00\x01\x00\x10\x00\x00\x00\x00glyf"+be32(0)+be32(28)+be32(20)+noise(1006, 20), "a font")
	add("font.woff2", "wOF2\x00\x01\x00\x00"+be32(64)+noise(1007, 52), "a font")
	add("paper.pdf", "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n", "a PDF")
	add("table.parquet", "PAR1"+noise(1008, 120)+le32(40)+"PAR1", "the frame of a Parquet file")
	add("table.arrow", "ARROW1\x00\x00\xff\xff\xff\xff"+le32(16)+strings.Repeat("\x00", 16)+"ARROW1", "the frame of an Arrow file")
	add("data.avro", "Obj\x01\x02\x16avro.schema\x10\"string\"\x00"+noise(1009, 16), "an Avro file")
	add("cloud.ply", "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n0.5\n", "a point cloud")
	add("scan.nii", le32(348)+strings.Repeat("\x00", 340)+"n+1\x00"+strings.Repeat("\x00", 4), "a NIfTI header")
	add("scan.dcm", strings.Repeat("\x00", 128)+"DICM\x02\x00\x00\x00UL\x04\x00"+le32(4), "a DICOM header")
	add("data.lmdb", strings.Repeat("\x00", 16)+"\xde\xc0\xef\xbe"+le32(1)+strings.Repeat("\x00", 200), "the first page of an LMDB")
	return s.cases
}
