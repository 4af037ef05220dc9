docker version --format '{{.Server.Os}} {{.Server.Arch}}'
docker info --format '{{.OSType}} {{.Architecture}} {{.NCPU}} {{.Containers}} {{.ContainersRunning}} {{json .Swarm.LocalNodeState}}'
docker info --format '{{range $n, $r := .Runtimes}}{{end}}{{.LoggingDriver}} {{.IndexServerAddress}} {{json .Plugins.Volume}}'
docker system df --format '{{.Type}}'
docker system df -v --format '{{json .Volumes}}'
docker run --name eventful --label l=1 sockerless/base true; docker rm eventful
docker run -d --name killed sockerless/base sleep 1000; docker exec killed true; docker kill killed; docker wait killed; docker rm killed
docker events --since 1m --until "$(date -d '+1 sec' +%s)" --filter container=eventful --format '{{.Type}} {{.Action}} {{index .Actor.Attributes "name"}} {{index .Actor.Attributes "l"}} {{index .Actor.Attributes "exitCode"}}'
docker events --since 1m --until "$(date -d '+1 sec' +%s)" --filter container=killed --filter type=container --format '{{.Action}} {{index .Actor.Attributes "exitCode"}} {{index .Actor.Attributes "signal"}}'
docker events --since nonsense --until "$(date -d '+1 sec' +%s)"
docker network create evnet > /dev/null; docker volume create evvol > /dev/null; docker network rm evnet > /dev/null; docker volume rm evvol > /dev/null; docker events --since 1m --until "$(date -d '+1 sec' +%s)" --filter type=network --filter type=volume --format '{{.Type}} {{.Action}}' | tail -n 4
docker node ls
docker service ls
docker plugin ls -q
docker login -u x -p y 127.0.0.1:1 2>&1 | tail -n 1 | cut -c1-60
docker system prune -f | tail -n 1 | cut -d: -f1
