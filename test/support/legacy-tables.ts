import type { Pool } from 'mysql2/promise'

/** The key prefix under which {@link createLegacyTables} stores its rows. */
export const legacyPrefix = 'shop:'

/**
 * Creates the tables that go-go-scope creates, in the database's default character set, with rows in each.
 * What is in them is asserted by the suites.
 */
export async function createLegacyTables(admin: Pool): Promise<void> {
  const connection = await admin.getConnection()
  try {
    for (const statement of ["set time_zone = '+00:00'", ...tables, ...rows]) await connection.query(statement)
  } finally {
    // Its zone is not that of the pool's other connections.
    connection.destroy()
  }
}

const tables = [
  `create table go_goscope_locks (
    \`key\` varchar(255) primary key,
    owner varchar(255) not null,
    expires_at datetime not null,
    index idx_expires (expires_at)
  ) engine=InnoDB`,
  `create table go_goscope_circuit (
    \`key\` varchar(255) primary key,
    state varchar(20) not null,
    failure_count int not null default 0,
    last_failure_time datetime,
    last_success_time datetime,
    updated_at datetime not null default current_timestamp on update current_timestamp,
    index idx_updated (updated_at)
  ) engine=InnoDB`,
  `create table go_goscope_cache (
    \`key\` varchar(255) primary key,
    value json not null,
    expires_at datetime,
    index idx_expires (expires_at)
  ) engine=InnoDB`,
  `create table go_goscope_checkpoints (
    id varchar(255) primary key,
    task_id varchar(255) not null,
    sequence int not null,
    timestamp bigint not null,
    progress int not null default 0,
    data json not null,
    estimated_time_remaining bigint,
    created_at timestamp default current_timestamp,
    index idx_checkpoints_task (task_id),
    index idx_checkpoints_sequence (task_id, sequence)
  ) engine=InnoDB`,
]

const rows = [
  `insert into go_goscope_locks (\`key\`, owner, expires_at) values
    ('shop:lock:held', 'worker-1', utc_timestamp() + interval 1 hour),
    ('shop:lock:expired', 'worker-2', utc_timestamp() - interval 1 hour),
    ('shop:lock:café ', 'worker-3 ', utc_timestamp() + interval 1 hour)`,
  `insert into go_goscope_circuit (\`key\`, state, failure_count, last_failure_time, last_success_time) values
    ('shop:circuit:payments', 'open', 7, '2024-05-06 07:08:09', null),
    ('shop:circuit:mail ', 'closed', 2, '2024-05-06 07:08:10', '2024-05-06 07:08:11')`,
  `insert into go_goscope_cache (\`key\`, value, expires_at) values
    ('shop:cache:rates', '{"EUR": 1.08, "list": [1, "zwölf", null]}', null),
    ('shop:cache:trailing ', '"with a space"', utc_timestamp() + interval 1 hour),
    ('shop:cache:café', '"with an accent"', null),
    ('shop:cache:expired', '1', utc_timestamp() - interval 1 hour)`,
  `insert into go_goscope_checkpoints
    (id, task_id, sequence, timestamp, progress, data, estimated_time_remaining, created_at) values
    ('c1', 'import', 1, 1700000000001, 10, '{"row": 100}', 5000, '2024-05-06 07:08:09'),
    ('c2 ', 'import', 2, 1700000000002, 20, '{"row": 200}', null, '2024-05-06 07:08:10'),
    ('checkpoint:c1', 'import', 3, 1700000000003, 30, '{"row": 300}', null, '2024-05-06 07:08:11'),
    ('c4', 'café ', 1, 1700000000004, 40, '{"row": 400}', null, '2024-05-06 07:08:12')`,
]
