import { Module, type DynamicModule } from '@nestjs/common';
import type { Log } from '@relay/platform';

/** The consumer's own log, for its controllers and providers: `@Inject(CONSUMER_LOG) log: Log`. */
export const CONSUMER_LOG = Symbol('CONSUMER_LOG');

@Module({})
export class ConsumerLogModule {
  static of(log: Log): DynamicModule {
    return {
      module: ConsumerLogModule,
      global: true,
      providers: [{ provide: CONSUMER_LOG, useValue: log }],
      exports: [CONSUMER_LOG],
    };
  }
}
