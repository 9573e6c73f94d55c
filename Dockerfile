# The one binary and nothing else: docker build -t apex .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /apex ./cmd/apex && mkdir -p /root-fs/tmp && chmod 1777 /root-fs/tmp

FROM scratch
COPY --from=build /root-fs/ /
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /apex /apex
USER 65532:65532
ENV HOME=/tmp
ENTRYPOINT ["/apex"]
