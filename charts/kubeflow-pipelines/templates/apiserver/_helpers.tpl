{{/* config.json of the API server: the image's own without its MLflow plugin. */}}
{{- define "kfp.apiserver.config" -}}
{{- $mysql := dict "DBName" .Values.database.pipelinesName "GroupConcatMaxLen" "4194304" -}}
{{- with .Values.database.parameters }}{{ $_ := set $mysql "ExtraParams" . }}{{ end -}}
{{- $database := dict "ConMaxLifeTime" .Values.database.connectionMaxLifetime "MySQLConfig" $mysql -}}
{{- dict
  "DBDriverName" "mysql"
  "DBConfig" $database
  "ObjectStoreConfig" (dict "PipelinePath" "pipelines")
  "InitConnectionTimeout" "6m"
  "DEFAULTPIPELINERUNNERSERVICEACCOUNT" "pipeline-runner"
  "CacheEnabled" (toString .Values.apiServer.cache)
  "ARCHIVE_CONFIG_LOG_FILE_NAME" "main.log"
  "ARCHIVE_CONFIG_LOG_PATH_PREFIX" "/artifacts"
  | toPrettyJson -}}
{{- end -}}

{{- define "kfp.apiserver.probe" -}}
httpGet: {path: /apis/v2beta1/healthz, port: http}
{{- end -}}

{{/* Its environment. */}}
{{- define "kfp.apiserver.env" -}}
{{- $store := include "kfp.objectStore.address" . | fromJson -}}
{{- $secret := include "kfp.database.secret" . -}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- {name: CLUSTER_DOMAIN, value: cluster.local}
- {name: LOG_LEVEL, value: {{ .Values.apiServer.logLevel }}}
- {name: PIPELINE_LOG_LEVEL, value: {{ .Values.workflows.logLevel | quote }}}
- {name: PUBLISH_LOGS, value: {{ .Values.workflows.archiveLogs | quote }}}
- {name: AUTO_UPDATE_PIPELINE_DEFAULT_VERSION, value: "true"}
- {name: BLOCK_V1_PIPELINES, value: "true"}
- {name: V2_DRIVER_IMAGE, value: {{ include "kfp.image" (dict "root" . "image" .Values.images.driver) }}}
- {name: V2_LAUNCHER_IMAGE, value: {{ include "kfp.image" (dict "root" . "image" .Values.images.launcher) }}}
- {name: COMPILED_PIPELINE_SPEC_PATCH, value: {{ .Values.workflows.specPatch | toJson | quote }}}
# The server exits without these two. Service links would set them, if the Service existed before the pod.
- {name: ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_HOST, value: ml-pipeline-visualizationserver}
- {name: ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_PORT, value: "8888"}
- {name: OBJECTSTORECONFIG_HOST, value: {{ $store.host }}}
- {name: OBJECTSTORECONFIG_PORT, value: {{ $store.port | quote }}}
- {name: OBJECTSTORECONFIG_SECURE, value: {{ $store.secure | quote }}}
- {name: OBJECTSTORECONFIG_REGION, value: {{ .Values.objectStore.region }}}
- {name: OBJECTSTORECONFIG_BUCKETNAME, value: {{ .Values.objectStore.bucket }}}
{{ include "kfp.env.objectStore.keys" (dict "root" . "access" "OBJECTSTORECONFIG_ACCESSKEY" "secret" "OBJECTSTORECONFIG_SECRETACCESSKEY") }}
- {name: DBCONFIG_MYSQLCONFIG_HOST, value: {{ include "kfp.database.host" . }}}
- {name: DBCONFIG_MYSQLCONFIG_PORT, value: {{ .Values.database.port | quote }}}
- {name: DBCONFIG_MYSQLCONFIG_DBNAME, value: {{ .Values.database.pipelinesName }}}
- name: DBCONFIG_MYSQLCONFIG_USER
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: username}}
- name: DBCONFIG_MYSQLCONFIG_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: password}}
{{- end -}}
