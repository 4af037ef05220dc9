docker network ls --format '{{.Name}} {{.Driver}} {{.Scope}}' | sort
docker network create net1 | wc -c
docker network create net1
docker network create --subnet 10.91.0.0/24 --gateway 10.91.0.1 --label a=b --internal net2 | wc -c
docker network inspect -f '{{.Name}} {{.Driver}} {{.Internal}} {{json .IPAM.Config}} {{json .Labels}} {{json .Options}}' net2
docker run -d --name server --network net1 --network-alias web sockerless/base sh -c 'mkdir /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www'
docker run --rm --network net1 sockerless/base sh -c 'for n in server web; do until wget -q -O - http://$n/ 2> /dev/null; do sleep 0.1; done; done'
docker run --rm --network net1 sockerless/base sh -c 'wget -q -O - http://$(nslookup server 127.0.0.11 2> /dev/null | awk "/^Address/ {a=\$NF} END {print a}")/'
docker run --rm --network container:server sockerless/base wget -q -O - http://127.0.0.1/
docker run --rm --link server:linked --network net1 sockerless/base wget -q -O - http://linked/
docker network connect --alias second net2 server
docker run --rm --network net2 sockerless/base wget -q -O - http://second/
docker inspect -f '{{range $n, $e := .NetworkSettings.Networks}}{{$n}} {{end}}' server
docker network connect net2 server
docker network inspect -f '{{range .Containers}}{{.Name}} {{end}}' net2
docker network disconnect net2 server
docker network disconnect net2 server
docker network rm net1
docker network inspect nosuch
docker network rm nosuch
docker network rm bridge
docker network create bridge
docker network connect nosuch server
docker network connect net1 nosuch
docker network create --subnet 10.91.0.0/24 net4
docker network ls --filter name=net --format '{{.Name}}' | sort
docker network ls --filter label=a=b --format '{{.Name}}'
docker network ls --filter driver=host --format '{{.Name}}'
docker network ls --filter nonsense=1
docker rm -f server
docker run -d --name pub -p 127.0.0.1:18553:80 sockerless/base sh -c 'mkdir /www; echo published > /www/index.html; exec httpd -f -p 80 -h /www'
until wget -q -O - http://127.0.0.1:18553/ 2> /dev/null; do sleep 0.1; done
docker run --rm -p 127.0.0.1:18553:80 sockerless/base true 2>&1 | sed 's/on endpoint.*//'
docker rm -f pub
docker network prune -f | sort
docker network ls -q --filter type=custom | wc -l
