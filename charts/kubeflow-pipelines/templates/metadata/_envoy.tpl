{{/* Envoy's configuration: browsers speak grpc-web, ML Metadata speaks gRPC. Only the user interface's server asks here,
     so nobody from another origin is let in. */}}
{{- define "kfp.metadata.envoy" -}}
admin:
  address:
    socket_address: {address: 127.0.0.1, port_value: 9901}
static_resources:
  listeners:
    - name: grpc-web
      address:
        socket_address: {address: 0.0.0.0, port_value: 9090}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: grpc_web
                codec_type: AUTO
                http_filters:
                  - name: envoy.filters.http.grpc_web
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                route_config:
                  virtual_hosts:
                    - name: metadata
                      domains: ["*"]
                      routes:
                        - match: {prefix: /}
                          route:
                            cluster: metadata
                            max_stream_duration: {grpc_timeout_header_max: 0s}
  clusters:
    - name: metadata
      type: STRICT_DNS
      connect_timeout: 10s
      load_assignment:
        cluster_name: metadata
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    socket_address: {address: metadata-grpc-service, port_value: 8080}
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config:
            http2_protocol_options: {}
{{- end -}}
