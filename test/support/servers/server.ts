/** A running server. */
export interface Server {
  /** The kind's name, or that of the variable it was given by. */
  readonly name: string
  readonly family: 'mysql' | 'mariadb'
  /** As the server tells it. */
  readonly version: string
  /** An administrator's URL, without a database. */
  readonly url: string
  /** Ends the server and forgets its data, unless it was there before. */
  stop(): Promise<void>
  /** Ends the server and starts it again with the same data on the same port. */
  restart(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

/** How a server treats its disk: `fast` forgets the last second when the machine fails, `durable` nothing. */
export type Durability = 'fast' | 'durable'

/** What the finder tells, and what it asks for. */
export interface FinderOptions {
  /** Called with one line for each thing that takes its time. */
  readonly report?: (line: string) => void
  /** @default 'fast' */
  readonly durability?: Durability
}

/** The server's settings as command-line arguments. */
export function settings(durability: Durability): string[] {
  const common = ['--max-connections=2000', '--max-allowed-packet=64M', '--innodb-buffer-pool-size=256M']
  if (durability === 'durable') return common
  return [
    ...common,
    '--innodb-flush-log-at-trx-commit=2',
    '--sync-binlog=0',
    '--skip-log-bin',
    '--innodb-doublewrite=0',
  ]
}
