docker volume create one
docker volume create one
docker volume create --label a=b --driver local two
docker volume create 'bad/name'
docker volume ls
docker volume ls -q --filter label=a
docker volume ls -q --filter name=on
docker volume ls --filter nonsense=1
docker volume inspect -f '{{.Name}} {{.Driver}} {{.Scope}} {{json .Labels}} {{json .Options}}' one two
docker volume inspect nosuch
docker run --name user -v one:/v -v /anonymous sockerless/base sh -c 'echo x > /v/f; mount | grep -c " /anonymous "'
docker inspect -f '{{range .Mounts}}{{.Type}} {{.Destination}} {{.Driver}} {{.Mode}} {{.RW}} {{.Propagation}}|{{end}}' user | tr '|' '\n' | sort
docker volume rm one
docker volume ls -q --filter dangling=true | grep -c two
docker volume ls -q | wc -l
docker rm -v user
docker volume ls -q | wc -l
docker run --rm -v one:/v:ro sockerless/base cat /v/f
docker run --rm --mount type=volume,source=one,target=/v,readonly sockerless/base sh -c 'echo y > /v/f'
docker run --rm --mount type=tmpfs,target=/t,tmpfs-size=1m sockerless/base sh -c 'head -c 2000000 /dev/zero > /t/f'
docker run --rm -v filled:/etc sockerless/base sh -c 'test -s /etc/passwd && echo copied from the image'
docker run --rm -v filled:/other sockerless/base sh -c 'test -s /other/passwd && echo it is in the volume'
mkdir kept && echo kept > kept/f && docker run --rm --mount "type=volume,source=bound,target=/v,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=$PWD/kept" sockerless/base cat /v/f
docker volume inspect -f '{{json .Options}}' bound | sed "s,$PWD,,"
docker run --rm --mount type=volume,source=bound,target=/v,volume-opt=type=tmpfs,volume-opt=device=x sockerless/base cat /v/f
docker run --rm --mount type=volume,source=half,target=/v,volume-opt=type=none sockerless/base true
docker run --rm --mount type=volume,source=half,target=/v,volume-opt=colour=red sockerless/base true
docker volume ls -q | grep half
docker volume rm bound half; cat kept/f
docker volume create -o type=tmpfs -o device=tmpfs -o o=size=1m,uid=7,mode=700 fast
docker run -d --name holder -v fast:/f sockerless/base sleep 1000 | wc -c
docker exec holder sh -c 'echo x > /f/x; stat -c "%u %g %a" /f; head -c 2000000 /dev/zero > /f/big; rm /f/big'
docker run --rm -v fast:/g sockerless/base sh -c 'cat /g/x; echo y > /g/y' && docker exec holder cat /f/y
docker restart -t 0 holder && docker exec holder ls -A /f
docker exec holder sh -c 'echo z > /f/z' && docker run --rm --volumes-from holder sockerless/base cat /f/z
docker cp holder:/f/z - | tar -xO
docker stop -t 0 holder && docker run --rm -v fast:/f sockerless/base ls -A /f
docker start holder && docker exec holder ls -A /f
docker rm -f holder; docker volume inspect -f '{{json .Options}}' fast; docker volume rm fast
docker run --rm --tmpfs /t:uid=7,gid=8,mode=750 sockerless/base stat -c '%u %g %a' /t
docker run --rm -v rel/path:/x sockerless/base true
docker run --rm -v one:relative sockerless/base true
docker run --rm -v one:/v:bogus sockerless/base true
docker volume rm one two filled nosuch
docker volume rm -f nosuch
docker volume prune -f | tail -n 1
