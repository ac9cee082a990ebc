import { execFile } from 'node:child_process'
import { access, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pRetry from 'p-retry'
import { withCachedFolder } from './cache.js'
import type { GuardedFolder } from './guarded-folder.js'

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** A package of one of Debian's suites. */
export interface DebianPackage {
  readonly suite: string
  readonly package: string
}

/** Whether packages can be fetched on this machine. */
export async function hasDebianPackages(): Promise<boolean> {
  return access(keyring).then(
    () => true,
    () => false,
  )
}

/**
 * Uses a package, unpacked with all its libraries into a folder of its own. Nothing of the machine's own system
 * changes: apt works on private lists, and believes that no package is installed.
 */
export async function withDebianPackage<T>(
  wanted: DebianPackage,
  report: (line: string) => void,
  use: (root: string) => Promise<T>,
): Promise<T> {
  return withCachedFolder(
    `${wanted.suite}-${wanted.package}`,
    async (root, workshop) => {
      const archives = await fetchPackage(wanted, report, workshop)
      for (const file of await readdir(archives)) {
        if (file.endsWith('.deb')) await workshop.run(['dpkg', '-x', join(archives, file), root])
      }
    },
    use,
  )
}

/** Returns the folder with the package and all it depends on. */
async function fetchPackage(
  wanted: DebianPackage,
  report: (line: string) => void,
  workshop: GuardedFolder,
): Promise<string> {
  const mirror = await ownMirror()
  const origin = `${wanted.package} from ${mirror} ${wanted.suite}`
  const lists = join(workshop.path, 'lists')
  const archives = join(workshop.path, 'cache/archives')
  await mkdir(join(lists, 'partial'), { recursive: true })
  await mkdir(join(archives, 'partial'), { recursive: true })
  const sources = join(workshop.path, 'sources.list')
  await writeFile(sources, `deb [signed-by=${keyring}] ${mirror} ${wanted.suite} main\n`)
  await writeFile(join(workshop.path, 'status'), '')
  const options = [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=-',
    `Dir::State::Lists=${lists}`,
    `Dir::State::status=${join(workshop.path, 'status')}`,
    `Dir::Cache=${join(workshop.path, 'cache')}`,
    'APT::Install-Recommends=false',
    'APT::Sandbox::User=root',
    // Without it an unreachable mirror is a mere warning.
    'APT::Update::Error-Mode=any',
    'Debug::NoLocking=true',
    'Acquire::Retries=3',
    'Acquire::http::Timeout=15',
    'Acquire::Languages=none',
    // The archive of an old suite stays as it is, and its signature grows old.
    'Acquire::Check-Valid-Until=false',
  ].flatMap((option) => ['-o', option])
  const apt = (...command: string[]) => workshop.run(['apt-get', '--quiet', '--yes', ...options, ...command])
  report(`${origin}: fetching`)
  // Both at each attempt: lists that were fetched while the mirror changed name packages that it has no more.
  await pRetry(
    async () => {
      await apt('update')
      await apt('--download-only', 'install', wanted.package)
    },
    {
      retries: 3,
      onFailedAttempt: ({ retriesLeft }) => {
        if (retriesLeft > 0) report(`${origin}: failed, trying again`)
      },
    },
  ).catch((cause: Error) => {
    throw new Error(`${origin} cannot be fetched: ${cause.message}`, { cause })
  })
  return archives
}

/** The mirror this machine uses itself. */
async function ownMirror(): Promise<string> {
  const format = ['--format', '$(REPO_URI)', 'Created-By: Packages']
  // Without the option apt tells nothing on a machine that never updated its lists.
  const { stdout } = await promisify(execFile)('apt-get', ['indextargets', '--no-release-info', ...format])
  return stdout.split('\n').find((uri) => /\/debian\/?$/.test(uri)) ?? 'http://deb.debian.org/debian/'
}
