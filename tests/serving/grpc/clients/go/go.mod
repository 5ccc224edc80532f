module probe

go 1.24

require google.golang.org/grpc v1.75.0
