docker create --name cc sockerless/base sh -c 'trap "echo stopping; sleep 0.3; exit 5" TERM; echo up; while :; do sleep 0.1; done'
docker inspect -f '{{.State.Status}} {{.State.Running}} {{.State.Pid}} {{.State.ExitCode}}' cc
docker start cc
docker inspect -f '{{.State.Status}} {{.State.Running}} {{.State.ExitCode}}' cc
docker start cc
docker logs -f cc > followed & while [ -z "$(docker logs cc)" ]; do sleep 0.1; done; docker stop cc; wait; cat followed
docker inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}} [{{.State.Error}}]' cc
docker stop cc
docker kill cc
docker wait cc
docker restart -t 1 cc
docker inspect -f '{{.State.Status}}' cc
while [ "$(docker logs cc | wc -l)" -lt 3 ]; do sleep 0.1; done; docker kill -s TERM cc; docker wait cc
docker start cc && docker kill -s KILL cc && docker wait cc
docker start cc && docker kill -s NOPE cc
docker rm cc
docker rm -f cc
docker rm cc
docker start nosuch
docker stop nosuch
docker kill nosuch
docker rm nosuch
docker wait nosuch
docker restart nosuch
docker run -d --name stubborn sockerless/base sh -c 'trap "" TERM; echo up; while :; do sleep 0.1; done'
docker stop -t 1 stubborn; docker inspect -f '{{.State.ExitCode}}' stubborn
docker rm stubborn
docker run -d --name int --stop-signal INT sockerless/base sh -c 'trap "exit 9" INT; echo up; while :; do sleep 0.1; done'
while [ -z "$(docker logs int)" ]; do sleep 0.1; done; docker stop int; docker wait int
docker rm int
docker create -i --name again sockerless/base sh -c 'read x; echo "run with $x" | tee -a /log; wc -l < /log'
echo first | docker start -a -i again
echo second | docker start -a -i again
docker rm again
docker create --name old sockerless/base true
docker rename old new
docker inspect -f '{{.Name}}' new
docker rename old other
docker rename new new
docker create --name taken sockerless/base true
docker rename new taken
docker rename new 'bad name'
docker rm new taken
docker run -d --name pp sockerless/base sleep 1000
docker pause pp
docker inspect -f '{{.State.Status}} {{.State.Paused}}' pp
docker pause pp
docker unpause pp
docker unpause pp
docker top pp -o pid,args | sed -E 's/^[0-9]+ +/<pid> /'
docker stop -t 0 pp && docker top pp
docker stats --no-stream --format '{{.Name}} {{.PIDs}}' pp
docker start pp && docker stats --no-stream --format '{{.Name}} {{.PIDs}}' pp
docker diff pp
docker exec pp sh -c 'echo x > /added; rm /etc/group; echo y >> /etc/passwd' && docker diff pp | sort -k 2
docker update --restart on-failure:3 pp && docker inspect -f '{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}' pp
docker rm -f pp
docker run -d --name failing --restart on-failure:2 sockerless/base sh -c 'echo try; exit 3'
while [ "$(docker inspect -f '{{.State.Status}}' failing)" != exited ]; do sleep 0.2; done; docker inspect -f '{{.RestartCount}} {{.State.ExitCode}}' failing; docker logs failing
docker rm failing
docker run -d --name healthy --health-cmd 'test -e /ok' --health-interval 200ms --health-retries 2 sockerless/base sleep 1000
while [ "$(docker inspect -f '{{.State.Health.Status}}' healthy)" != unhealthy ]; do sleep 0.2; done; docker ps --format '{{.Names}} {{.Status}}' | sed -E 's/Up .* \(/Up (/'
docker exec healthy touch /ok; while [ "$(docker inspect -f '{{.State.Health.Status}}' healthy)" != healthy ]; do sleep 0.2; done; docker inspect -f '{{.State.Health.FailingStreak}}' healthy
docker rm -f healthy
