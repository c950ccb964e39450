import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateBus1764000000100 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE SCHEMA bus;

      CREATE TABLE bus.subscriptions (
        consumer text NOT NULL,
        name text NOT NULL,
        entity_type_id integer NOT NULL,
        PRIMARY KEY (name, entity_type_id, consumer)
      );
      COMMENT ON COLUMN bus.subscriptions.entity_type_id IS '0: events of every type';

      -- json, not jsonb: it keeps the text as it came, with \\u0000 and lone surrogates, which jsonb refuses.
      CREATE TABLE bus.messages (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        consumer text NOT NULL,
        shard smallint NOT NULL,
        content json NOT NULL,
        available_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        taken boolean NOT NULL DEFAULT false,
        deliveries integer NOT NULL DEFAULT 0,
        attempts integer NOT NULL DEFAULT 0,
        first_failed_at timestamptz,
        last_code text
      ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
      CREATE INDEX messages_next ON bus.messages (consumer, shard, taken, available_at, id);
      COMMENT ON COLUMN bus.messages.taken IS 'by the process that holds the lock of this consumer and shard';

      CREATE TABLE bus.dead_letters (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        consumer text NOT NULL,
        shard smallint NOT NULL,
        code text NOT NULL,
        message text NOT NULL,
        attempts integer NOT NULL,
        first_failed_at timestamptz NOT NULL,
        last_failed_at timestamptz NOT NULL,
        content json NOT NULL
      );
      CREATE INDEX dead_letters_by_consumer ON bus.dead_letters (consumer, id);

      CREATE TABLE bus.unrouted (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        content json NOT NULL,
        published_at timestamptz NOT NULL DEFAULT clock_timestamp()
      );
      COMMENT ON TABLE bus.unrouted IS 'events that nobody subscribes to, the latest 10,000';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP SCHEMA bus CASCADE');
  }
}
