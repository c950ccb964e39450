import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateServiceProcesses1766300000200 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE platform.service_processes (
        service text NOT NULL,
        replica uuid NOT NULL,
        host text NOT NULL,
        pid integer NOT NULL,
        address text NOT NULL,
        state jsonb NOT NULL,
        started_at timestamptz NOT NULL,
        reported_at timestamptz NOT NULL,
        PRIMARY KEY (service, replica)
      );
      COMMENT ON TABLE platform.service_processes IS
        'what each gateway and control plane reports of itself every few seconds; a row that is much older is of one that was killed';
      COMMENT ON COLUMN platform.service_processes.address IS 'of its ops port, for other machines of the installation';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE platform.service_processes');
  }
}
