import type { DebianPackage } from './debian-packages.js'

/** The servers the library promises to work on, and where each can be had. */
export interface ServerKind {
  readonly name: ServerName
  readonly family: 'mysql' | 'mariadb'
  /** What its version begins with. */
  readonly version: string
  /** The variable that may hold an administrator's URL. */
  readonly variable: string
  /** The container image. */
  readonly image: string
  /** The Debian package that holds it; absent where only a container does. */
  readonly debian?: DebianPackage
}

export type ServerName = 'mysql-8.0' | 'mysql-8.4' | 'mysql-9' | 'mariadb-10.5' | 'mariadb-10.11' | 'mariadb-11.8'

export const serverKinds: readonly ServerKind[] = [
  {
    name: 'mysql-8.0',
    family: 'mysql',
    version: '8.0.',
    variable: 'GOSCOPE_MYSQL_80_URL',
    image: 'mysql:8.0',
  },
  {
    name: 'mysql-8.4',
    family: 'mysql',
    version: '8.4.',
    variable: 'GOSCOPE_MYSQL_84_URL',
    image: 'mysql:8.4',
  },
  {
    name: 'mysql-9',
    family: 'mysql',
    version: '9.',
    variable: 'GOSCOPE_MYSQL_9_URL',
    image: 'mysql:9',
    // No other suite has MySQL.
    debian: { suite: 'sid', package: 'mysql-server-core' },
  },
  {
    name: 'mariadb-10.5',
    family: 'mariadb',
    version: '10.5.',
    variable: 'GOSCOPE_MARIADB_105_URL',
    image: 'mariadb:10.5',
    debian: { suite: 'bullseye', package: 'mariadb-server-core-10.5' },
  },
  {
    name: 'mariadb-10.11',
    family: 'mariadb',
    version: '10.11.',
    variable: 'GOSCOPE_MARIADB_1011_URL',
    image: 'mariadb:10.11',
    debian: { suite: 'bookworm', package: 'mariadb-server-core' },
  },
  {
    name: 'mariadb-11.8',
    family: 'mariadb',
    version: '11.8.',
    variable: 'GOSCOPE_MARIADB_118_URL',
    image: 'mariadb:11.8',
    debian: { suite: 'trixie', package: 'mariadb-server-core' },
  },
]
