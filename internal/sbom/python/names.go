package python

import "strings"

// ImportNames returns the names by which programs import a project, for
// projects that are imported by another name than their own. Of any other
// project it returns the guess that nearly always holds, its name with "_" for
// "-" and "."; known is then false, and the guess proves nothing.
//
// The project may be spelled in any way.
func ImportNames(project string) (names []string, known bool) {
	n := Normalize(project)
	if list, ok := importNames(n); ok {
		return strings.Fields(list), true
	}
	// Type stubs are never imported; what they describe is another project.
	if strings.HasPrefix(n, "types-") || strings.HasSuffix(n, "-stubs") {
		return nil, true
	}
	if guess := strings.ReplaceAll(n, "-", "_"); isDotted(guess) {
		return []string{guess}, false
	}
	return nil, false
}

// importNames is a switch because that costs nothing before it is used. The
// names are those of the projects' own documentation.
func importNames(normal string) (string, bool) {
	switch normal {
	// images and media
	case "pillow", "pillow-simd":
		return "PIL", true
	case "opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless":
		return "cv2", true
	case "scikit-image":
		return "skimage", true
	case "pymupdf":
		return "fitz pymupdf", true
	case "av", "pyav":
		return "av", true
	case "ffmpeg-python":
		return "ffmpeg", true
	case "pysoundfile", "soundfile":
		return "soundfile _soundfile", true
	case "sounddevice":
		return "sounddevice _sounddevice", true
	case "openai-whisper":
		return "whisper", true
	case "python-magic", "python-magic-bin":
		return "magic", true
	case "python-barcode":
		return "barcode", true
	// models and numbers
	case "scikit-learn":
		return "sklearn", true
	case "scikit-learn-intelex":
		return "sklearnex daal4py", true
	case "tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel", "tensorflow-macos", "tf-nightly":
		return "tensorflow", true
	case "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-training":
		return "onnxruntime", true
	case "faiss-cpu", "faiss-gpu", "faiss-gpu-cu12":
		return "faiss", true
	case "llama-cpp-python":
		return "llama_cpp", true
	case "xgboost", "xgboost-cpu":
		return "xgboost", true
	case "dlib-bin":
		return "dlib", true
	case "open-clip-torch":
		return "open_clip", true
	case "mlflow", "mlflow-skinny":
		return "mlflow", true
	case "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x":
		return "cupy cupyx", true
	case "nvidia-ml-py", "nvidia-ml-py3":
		return "pynvml", true
	case "tensorrt", "tensorrt-cu12":
		return "tensorrt", true
	case "pytorch-triton", "triton":
		return "triton", true
	// data and text
	case "pyyaml":
		return "yaml _yaml", true
	case "ruamel-yaml":
		return "ruamel.yaml", true
	case "beautifulsoup4":
		return "bs4", true
	case "msgpack", "msgpack-python":
		return "msgpack", true
	case "protobuf":
		return "google.protobuf google._upb", true
	case "googleapis-common-protos":
		return "google.api google.type google.rpc google.logging google.longrunning", true
	case "google-api-core":
		return "google.api_core", true
	case "google-auth":
		return "google.auth google.oauth2", true
	case "google-api-python-client":
		return "googleapiclient apiclient", true
	case "google-cloud-storage":
		return "google.cloud.storage", true
	case "google-cloud-bigquery":
		return "google.cloud.bigquery", true
	case "google-cloud-core":
		return "google.cloud.client google.cloud.environment_vars google.cloud.exceptions google.cloud.obsolete google.cloud.operation", true
	case "google-cloud-aiplatform":
		return "google.cloud.aiplatform vertexai", true
	case "google-generativeai":
		return "google.generativeai", true
	case "google-genai":
		return "google.genai", true
	case "grpcio":
		return "grpc", true
	case "grpcio-tools":
		return "grpc_tools", true
	case "grpcio-status":
		return "grpc_status", true
	case "grpcio-health-checking":
		return "grpc_health", true
	case "python-dateutil":
		return "dateutil", true
	case "python-dotenv":
		return "dotenv", true
	case "python-docx":
		return "docx", true
	case "python-pptx":
		return "pptx", true
	case "pypdf2":
		return "PyPDF2", true
	case "pdfminer-six":
		return "pdfminer", true
	case "python-slugify":
		return "slugify", true
	case "attrs":
		return "attr attrs", true
	case "faust-cchardet", "cchardet":
		return "cchardet", true
	case "levenshtein", "python-levenshtein":
		return "Levenshtein", true
	case "markdown-it-py":
		return "markdown_it", true
	case "python-json-logger":
		return "pythonjsonlogger", true
	case "brotli", "brotlipy", "brotlicffi":
		return "brotli _brotli brotlicffi", true
	case "python-snappy":
		return "snappy", true
	case "backports-zoneinfo":
		return "backports.zoneinfo", true
	case "pywavelets":
		return "pywt", true
	case "netcdf4":
		return "netCDF4", true
	case "pyshp":
		return "shapefile", true
	case "gitpython":
		return "git", true
	case "antlr4-python3-runtime":
		return "antlr4", true
	// the web
	case "djangorestframework":
		return "rest_framework", true
	case "django-cors-headers":
		return "corsheaders", true
	case "django-filter":
		return "django_filters", true
	case "django-environ":
		return "environ", true
	case "python-multipart":
		return "multipart python_multipart", true
	case "websocket-client":
		return "websocket", true
	case "pyzmq":
		return "zmq", true
	case "uwsgi":
		return "uwsgi uwsgidecorators", true
	case "zope-interface":
		return "zope.interface", true
	case "repoze-lru":
		return "repoze.lru", true
	case "python-socketio":
		return "socketio", true
	case "python-engineio":
		return "engineio", true
	case "discord-py":
		return "discord", true
	// secrets, identity, transport
	case "pyjwt":
		return "jwt", true
	case "python-jose", "python-jose-cryptodome":
		return "jose", true
	case "pycryptodome", "pycrypto":
		return "Crypto", true
	case "pycryptodomex":
		return "Cryptodome", true
	case "pyopenssl":
		return "OpenSSL", true
	case "pynacl":
		return "nacl", true
	case "pysocks":
		return "socks sockshandler", true
	case "python-gnupg":
		return "gnupg", true
	case "pycurl":
		return "pycurl curl", true
	case "python-ldap":
		return "ldap ldapurl ldif", true
	case "argon2-cffi":
		return "argon2", true
	case "argon2-cffi-bindings":
		return "_argon2_cffi_bindings", true
	case "py-bcrypt", "bcrypt":
		return "bcrypt", true
	case "azure-identity":
		return "azure.identity", true
	case "azure-core":
		return "azure.core", true
	case "azure-storage-blob":
		return "azure.storage.blob", true
	case "azure-keyvault-secrets":
		return "azure.keyvault.secrets", true
	case "azure-cosmos":
		return "azure.cosmos", true
	case "aws-sam-translator":
		return "samtranslator", true
	case "apache-airflow":
		return "airflow", true
	// databases and queues
	case "psycopg2-binary":
		return "psycopg2", true
	case "mysqlclient":
		return "MySQLdb", true
	case "mysql-connector-python":
		return "mysql.connector", true
	case "pymongo":
		return "pymongo bson gridfs", true
	case "kafka-python", "kafka-python-ng":
		return "kafka", true
	case "opensearch-py":
		return "opensearchpy", true
	case "pinecone-client", "pinecone":
		return "pinecone", true
	case "weaviate-client":
		return "weaviate", true
	case "cassandra-driver":
		return "cassandra", true
	case "python-memcached":
		return "memcache", true
	// tools that programs import
	case "setuptools":
		return "setuptools pkg_resources _distutils_hack", true
	case "opentelemetry-api":
		return "opentelemetry.trace opentelemetry.context opentelemetry.metrics opentelemetry.propagate opentelemetry.baggage", true
	case "opentelemetry-sdk":
		return "opentelemetry.sdk", true
	case "pyinstaller":
		return "PyInstaller", true
	case "pyserial":
		return "serial", true
	case "pyusb":
		return "usb", true
	case "pywin32":
		return "win32api win32con win32gui pythoncom pywintypes win32com", true
	case "progressbar2":
		return "progressbar", true
	case "cfn-lint":
		return "cfnlint", true
	case "ipython":
		return "IPython", true
	case "pyqt5":
		return "PyQt5", true
	case "python-xlib":
		return "Xlib", true
	case "scikit-build":
		return "skbuild", true
	case "dnspython":
		return "dns", true
	case "python-crontab":
		return "crontab cronlog", true
	case "ipaddr-py":
		return "ipaddr", true
	case "pyobjc-core":
		return "objc", true
	case "readability-lxml":
		return "readability", true
	case "llama-index-core":
		return "llama_index.core", true
	case "jaraco-context":
		return "jaraco.context", true
	case "jaraco-functools":
		return "jaraco.functools", true
	case "jaraco-text":
		return "jaraco.text", true
	}
	return "", false
}
