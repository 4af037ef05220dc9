docker ps
docker run -d --name one --label kind=a -p 127.0.0.1:18552:80 sockerless/base sleep 1000
docker create --name two --label kind=b sockerless/base echo a command that is too long for the column
docker run --name three sockerless/base sh -c 'exit 6'
docker ps -a
docker ps -a --no-trunc --format '{{.Names}}|{{.Command}}|{{.Image}}|{{.Ports}}|{{.Labels}}'
docker ps -q | wc -l
docker ps -a --filter status=exited --format '{{.Names}}'
docker ps -a --filter exited=6 --format '{{.Names}}'
docker ps -a --filter label=kind --format '{{.Names}}'
docker ps -a --filter label=kind=b --format '{{.Names}}'
docker ps -a --filter name=^/t --format '{{.Names}}'
docker ps -a --filter ancestor=sockerless/base --format '{{.Names}}'
docker ps -a --filter before=two --format '{{.Names}}'
docker ps -a --filter since=one --format '{{.Names}}'
docker ps -a --filter network=bridge --format '{{.Names}}'
docker ps -a --filter publish=80 --format '{{.Names}}'
docker ps -a --filter nonsense=1
docker ps -a --filter status=nonsense
docker ps -n 2 --format '{{.Names}}'
docker ps -l --format '{{.Names}}'
docker ps -a -s --format '{{.Names}} {{.Size}}' | sed 's/(.*//'
docker inspect one two | grep -c '"Id":'
docker inspect -f '{{.Config.Image}} {{json .Config.Cmd}} {{json .Config.Labels}} {{.Path}} {{json .Args}}' two
docker inspect -f '{{json .HostConfig.PortBindings}} {{json .Config.ExposedPorts}} {{json .NetworkSettings.Ports}}' one
docker inspect -f '{{json .HostConfig}}' two | sed -E 's/"(MaskedPaths|Runtime)":("[a-z]*"|[[][^]]*])//g'
docker inspect -f '{{json .Config}}' two
docker inspect -f '{{json .State}}' three
docker inspect -f '{{json .NetworkSettings}}' two
docker inspect -f '{{json .Mounts}} {{.Driver}} {{.Platform}} {{.MountLabel}} {{.ProcessLabel}} {{.AppArmorProfile}}' one
docker inspect nosuch
docker inspect --type container sockerless/base
docker inspect --size -f '{{.SizeRw}}' two
docker port one
docker port one 80
docker port one 81
docker container ls -a --format '{{.Names}} {{.State}}'
docker container prune -f | grep -v reclaimed | wc -l
docker ps -a --format '{{.Names}}'
docker rm -f one
