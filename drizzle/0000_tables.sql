CREATE TABLE `go_goscope_cache` (
	`key` varchar(512) NOT NULL,
	`value` longtext NOT NULL,
	`expires_at` datetime(3) DEFAULT (NULL),
	`stale_at` datetime(3) DEFAULT (NULL),
	CONSTRAINT `go_goscope_cache_key` PRIMARY KEY(`key`)
);
--> statement-breakpoint
CREATE TABLE `go_goscope_checkpoints` (
	`id` varchar(512) NOT NULL,
	`task_id` varchar(512) NOT NULL,
	`sequence` decimal(20,0) NOT NULL,
	`timestamp` double NOT NULL,
	`progress` double NOT NULL,
	`data` longtext NOT NULL,
	`estimated_time_remaining` double DEFAULT (NULL),
	`fence` decimal(20,0) DEFAULT (NULL),
	`created_at` datetime(3) NOT NULL,
	CONSTRAINT `go_goscope_checkpoints_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
CREATE TABLE `go_goscope_circuit` (
	`failure_count` decimal(20,0) NOT NULL,
	`key` varchar(512) NOT NULL,
	`state` enum('closed','open','half-open') NOT NULL,
	`last_failure_time` datetime(3) DEFAULT (NULL),
	`last_success_time` datetime(3) DEFAULT (NULL),
	`opened_at` datetime(3) DEFAULT (NULL),
	`attempt` decimal(20,0) DEFAULT (NULL),
	`version` decimal(20,0) DEFAULT (NULL),
	`successes` decimal(20,0) DEFAULT (NULL),
	`isolated_at` datetime(3) DEFAULT (NULL),
	`reports` longtext DEFAULT (NULL),
	`details` longtext DEFAULT (NULL),
	`updated_at` datetime(3) NOT NULL,
	CONSTRAINT `go_goscope_circuit_key` PRIMARY KEY(`key`)
);
--> statement-breakpoint
CREATE TABLE `go_goscope_locks` (
	`fence` decimal(20,0) NOT NULL,
	`key` varchar(512) NOT NULL,
	`owner` varchar(255) DEFAULT (NULL),
	`acquired_at` datetime(3) DEFAULT (NULL),
	`expires_at` datetime(3) NOT NULL,
	CONSTRAINT `go_goscope_locks_key` PRIMARY KEY(`key`)
);
--> statement-breakpoint
CREATE INDEX `go_goscope_cache_expires_at` ON `go_goscope_cache` (`expires_at`);--> statement-breakpoint
CREATE INDEX `go_goscope_checkpoints_task` ON `go_goscope_checkpoints` (`task_id`,`sequence`,`timestamp`);