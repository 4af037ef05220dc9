"""docker build (the classic builder) and docker commit over the engine's own containers and the content store."""
