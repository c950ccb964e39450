import type { Log } from '@relay/platform';
import { addApplicationRoutes } from './control/application-routes.js';
import { controlGuide } from './control/control-guide.js';
import { addTestDataRoutes, addItemRoutes } from './control/item-routes.js';
import { addStatsAndFaultRoutes, addPortalRoutes } from './control/portal-routes.js';
import { addTypeRoutes } from './control/type-routes.js';
import { addDemoPortal, DemoInstaller } from './demo.js';
import { FormSender } from './events/event-delivery.js';
import { baseUrlOf, createHttpServer } from './http/http-server.js';
import { OAuthServer } from './oauth/oauth-server.js';
import { Tokens } from './oauth/tokens.js';
import { addPageRoutes } from './page-routes.js';
import { ApplicationFrame } from './portal/application-frame.js';
import { ApplicationLifecycle } from './portal/application-lifecycle.js';
import { Portals } from './portal/portals.js';
import { addRestRoutes } from './rest/rest-routes.js';
import { RestService } from './rest/rest-service.js';

export interface SimulatorOptions {
  /** 0 for a free port. */
  port: number;
  log: Log;
  /** The application's keys, the same at every portal. */
  clientId?: string | undefined;
  clientSecret?: string | undefined;
  /**
   * The address in `client_endpoint` and similar fields; the address by which the caller reached the simulator if
   * absent.
   */
  publicUrl?: string | undefined;
  /** The address to listen on. The default is loopback: anybody who reaches the simulator controls it. */
  host?: string;
  /** The gateway's install address, at which the application is installed in the portal `demo` at start. */
  installDemoAt?: string | undefined;
  /** Where a browser reaches the gateway, if not at `installDemoAt`: containers know each other by other names. */
  gatewayInBrowser?: string | undefined;
  /** The contacts and items of the portal `demo` get higher ids; 0 if absent. See unusedIds. */
  demoIdsAfter?: number | undefined;
  /** The permissions of the application at the portal `demo`, if not those of every portal. */
  demoScope?: string[] | undefined;
  /** The clock in milliseconds; tests replace it. */
  now?: () => number;
}

export interface Simulator {
  /** `http://127.0.0.1:<port>` */
  url: string;
  port: number;
  close(): Promise<void>;
}

/** The address of a gateway with default settings on this machine. */
const DEFAULT_INSTALL_URL = 'http://127.0.0.1:3000/b24/install';

/** Starts a simulated Bitrix24 with the portal `demo`; all its state is in memory. */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const { port, log, publicUrl, host = '127.0.0.1', now = Date.now } = options;
  const keys = {
    clientId: options.clientId ?? 'demo.app',
    clientSecret: options.clientSecret ?? 'demo.secret',
  };
  const tokens = new Tokens();
  const sender = new FormSender();
  const portals = new Portals({ now, tokens, sender });
  const demo = addDemoPortal(portals, options.demoIdsAfter ?? 0, options.demoScope);

  const installAt = options.installDemoAt ?? DEFAULT_INSTALL_URL;
  const app = createHttpServer(log);
  addPageRoutes(app, {
    portals,
    guide: (request) => controlGuide(baseUrlOf(request, publicUrl), installAt),
    installAt,
  });
  app.get('/health/live', () => ({ status: 'up' }));
  addRestRoutes(app, {
    portals,
    tokens,
    rest: new RestService(tokens, keys, now),
    oauth: new OAuthServer(tokens, keys, now),
    publicUrl,
  });
  const lifecycle = new ApplicationLifecycle(tokens, keys, now);
  const frame = new ApplicationFrame(tokens, now, addressesInBrowser(installAt, options.gatewayInBrowser));
  const control = { portals, tokens, now, publicUrl, lifecycle, frame };
  addPortalRoutes(app, control);
  addApplicationRoutes(app, control);
  addStatsAndFaultRoutes(app, control);
  addTypeRoutes(app, control);
  addItemRoutes(app, control);
  addTestDataRoutes(app, control);

  const { installDemoAt } = options;
  const installer = new DemoInstaller(async () => {
    const baseUrl = publicUrl ?? url;
    return (await lifecycle.install(demo, baseUrl, { kind: 'event', url: installDemoAt })).result?.outcome;
  }, log);
  app.get('/health/ready', (_request, reply) => {
    const isReady = installDemoAt === undefined || installer.isDone;
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'up' : 'installing' });
  });

  const listening = new URL(await app.listen({ port, host }));
  const url = `http://127.0.0.1:${listening.port}`;
  log.info({ port: Number(listening.port) }, 'the portal simulator is listening');
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

/** Pages of the gateway at the address that a browser reaches; all other addresses as they are. */
function addressesInBrowser(installAt: string, gateway: string | undefined): (address: string) => string {
  if (gateway === undefined) return (address) => address;
  const { origin } = new URL(installAt);
  return (address) => {
    const url = new URL(address);
    return url.origin === origin ? new URL(url.pathname + url.search, gateway).href : address;
  };
}
