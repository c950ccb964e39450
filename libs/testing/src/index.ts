export { installPortal, startTestSimulator, testConsumer } from './test-consumer.js';
export type { EventData, TestBus, TestConsumer, TestConsumerOptions } from './test-consumer.js';
export { TestPortal } from './test-portal.js';
export type { Fields, Notification, ObjectType, PortalContents, TestItem, Write } from './test-portal.js';
export type { Outcome } from './watched-bus.js';
