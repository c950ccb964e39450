# One image for every app: the command picks which; without one it is the gateway. See docker-compose.yml.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY nest-cli.json tsconfig.json tsconfig.build.json .swcrc ./
COPY apps apps
COPY libs libs
COPY scripts/build.mjs scripts/bundle-dependencies.mjs scripts/
RUN npm run build

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Optional is what `npm start` alone needs: a PostgreSQL of its own.
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production NODE_OPTIONS=--enable-source-maps
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json .env.example ./
# The command line for operators: docker compose exec control-plane relay
RUN printf '#!/bin/sh\nexec node /app/dist/apps/cli/src/main.js "$@"\n' > /usr/local/bin/relay && chmod 755 /usr/local/bin/relay
# The gateway's journal (DATA_DIR): a volume mounted here belongs to the user below.
RUN install -d -o node -g node -m 700 /data
USER node
CMD ["node", "dist/apps/gateway/src/main.js"]
