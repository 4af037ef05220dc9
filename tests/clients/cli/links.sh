docker run -d --name up sockerless/base sleep 1000
docker run -d --name down --link up:al sockerless/base sleep 1000
docker ps --no-trunc --filter name=up --format '{{.Names}}'
docker ps --filter name=up --format '{{.Names}}'
docker inspect -f '{{.Name}} {{.HostConfig.Links}}' down down/al
docker exec down/al cat /proc/sys/kernel/hostname | wc -c
docker exec down grep -c -w al /etc/hosts
docker top down/nothing
docker rm --link up/al
docker rm --link down
docker rm --link down/al
docker rm --link down/al
docker inspect -f '{{.Name}}' down/al
docker exec down grep -c -w al /etc/hosts
docker inspect -f '{{.HostConfig.Links}}' down
docker restart -t 0 down && docker exec down grep -c -w al /etc/hosts
docker create --name third --link up:other sockerless/base true && docker rm third/other 2>&1 | grep -c 'remove a running container\|container is running'; docker rm -f third/other
docker ps -a --format '{{.Names}}' --filter name=up --filter name=third
docker rm third
docker network create linked | wc -c
docker run -d --name web --network linked --link later:db --link later sockerless/base sleep 1000
docker inspect -f '{{json .HostConfig.Links}} {{json .NetworkSettings.Networks.linked.Links}}' web
docker exec web wget -q -O - http://db/ 2>&1
docker run -d --name later --network linked sockerless/base sh -c 'mkdir /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www'
until docker exec later wget -q -O - http://127.0.0.1/ 2> /dev/null; do sleep 0.1; done
docker exec web wget -q -O - http://db/
docker exec web wget -q -O - http://later/
docker exec later wget -q -O - http://db/ 2>&1
docker run -d --network linked --link a:b:c sockerless/base true
docker network disconnect -f linked nobody
docker network disconnect -f linked later
docker network disconnect -f linked later
docker exec web wget -q -O - http://db/ 2>&1
docker rm -f web later down
docker network rm linked
