import type { Log } from '@relay/platform';
import { addApplicationRoutes } from './control/application-routes.js';
import { controlGuide } from './control/control-guide.js';
import { addDataGeneratorRoutes, addItemRoutes } from './control/item-routes.js';
import { addObservationRoutes, addPortalRoutes } from './control/portal-routes.js';
import { addTypeRoutes } from './control/type-routes.js';
import { addDemoPortal, DemoInstaller } from './demo.js';
import { FormSender } from './events/event-delivery.js';
import { baseUrlOf, createHttpServer } from './http/http-server.js';
import { OAuth } from './oauth/oauth-server.js';
import { Tokens } from './oauth/tokens.js';
import { addPageRoutes } from './page-routes.js';
import { ApplicationLifecycle } from './portal/application-lifecycle.js';
import { Portals } from './portal/portals.js';
import { addRestRoutes } from './rest/rest-routes.js';
import { RestService } from './rest/rest-service.js';

export interface SimulatorOptions {
  /** 0: a free one. */
  port: number;
  log: Log;
  /** The application's keys, the same at every portal. */
  clientId?: string | undefined;
  clientSecret?: string | undefined;
  /**
   * The address in `client_endpoint` and the like; if not given, the one by which each caller reached the
   * simulator.
   */
  publicUrl?: string | undefined;
  /** The address to listen on; this machine alone if not given, for whoever reaches the simulator controls it. */
  host?: string;
  /** Where the application in the portal `demo` shall be installed at the start: the gateway's install address. */
  installDemoAt?: string | undefined;
  /** Milliseconds, for tests. */
  now?: () => number;
}

export interface Simulator {
  /** `http://127.0.0.1:<port>` */
  url: string;
  port: number;
  close(): Promise<void>;
}

/** The gateway's, started beside the simulator with nothing set. */
const DEFAULT_INSTALL_URL = 'http://127.0.0.1:3000/b24/install';

/** Starts a Bitrix24 of its own with the portal `demo`; everything it knows is in memory. */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const { port, log, publicUrl, host = '127.0.0.1', now = Date.now } = options;
  const keys = {
    clientId: options.clientId ?? 'demo.app',
    clientSecret: options.clientSecret ?? 'demo.secret',
  };
  const tokens = new Tokens();
  const sender = new FormSender();
  const portals = new Portals({ now, tokens, sender });
  const demo = addDemoPortal(portals);

  const app = createHttpServer(log);
  addPageRoutes(app, {
    portals,
    guide: (request) => controlGuide(baseUrlOf(request, publicUrl)),
    installAt: options.installDemoAt ?? DEFAULT_INSTALL_URL,
  });
  app.get('/health/live', () => ({ status: 'up' }));
  addRestRoutes(app, {
    portals,
    rest: new RestService(tokens, keys, now),
    oauth: new OAuth(tokens, keys, now),
    publicUrl,
  });
  const lifecycle = new ApplicationLifecycle(tokens, keys, now);
  const control = { portals, tokens, now, publicUrl, lifecycle };
  addPortalRoutes(app, control);
  addApplicationRoutes(app, control);
  addObservationRoutes(app, control);
  addTypeRoutes(app, control);
  addItemRoutes(app, control);
  addDataGeneratorRoutes(app, control);

  const { installDemoAt } = options;
  const installer = new DemoInstaller(async () => {
    const baseUrl = publicUrl ?? url;
    return (await lifecycle.install(demo, baseUrl, { kind: 'event', url: installDemoAt })).posted?.answer;
  }, log);
  app.get('/health/ready', (_request, reply) => {
    const isReady = installDemoAt === undefined || installer.isDone;
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'up' : 'installing' });
  });

  const listening = new URL(await app.listen({ port, host }));
  const url = `http://127.0.0.1:${listening.port}`;
  log.info({ port: Number(listening.port) }, 'the portal simulator listens');
  const installing = installDemoAt === undefined ? undefined : installer.run();
  return {
    url,
    port: Number(listening.port),
    async close() {
      installer.stop();
      for (const portal of portals.all()) portal.events.stop();
      sender.stop();
      await Promise.all([app.close(), installing]);
    },
  };
}
