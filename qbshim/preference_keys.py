"""Every preference of qBittorrent 5.1.0, its default here, and what becomes of it when a client sets it.

* FIXED: says what is so; setting it changes nothing.
* ACTING: kept, and it does what it says.
* the rest: kept and given back, as a real server would do with a setting that nothing depends on. Clients read back what
  they have set.
"""

from collections.abc import Mapping
from typing import Any, Final


def _words(text: str) -> list[str]:
    return text.split()


_FALSE = _words("""
add_stopped_enabled add_to_top_of_queue add_trackers_enabled add_trackers_from_url_enabled
alternative_webui_enabled announce_to_all_tiers announce_to_all_trackers anonymous_mode
autorun_enabled autorun_on_torrent_added_enabled block_peers_on_privileged_ports
bypass_auth_subnet_whitelist_enabled bypass_local_auth category_changed_tmm_enabled confirm_torrent_deletion
confirm_torrent_recheck delete_torrent_content_files dont_count_slow_torrents dyndns_enabled
embedded_tracker_port_forwarding enable_coalesce_read_write enable_embedded_tracker
enable_multi_connections_from_same_ip enable_piece_extent_affinity enable_upload_suggestions
excluded_file_names_enabled file_log_backup_enabled file_log_delete_old file_log_enabled i2p_enabled
i2p_mixed_mode idn_support_enabled ignore_ssl_errors incomplete_files_ext ip_filter_enabled ip_filter_trackers
limit_lan_peers limit_tcp_overhead limit_utp_rate lsd mail_notification_auth_enabled mail_notification_enabled
mail_notification_ssl_enabled mark_of_the_web max_inactive_seeding_time_enabled max_ratio_enabled
max_seeding_time_enabled merge_trackers performance_warning pex preallocate_all proxy_auth_enabled
proxy_bittorrent proxy_hostname_lookup proxy_misc proxy_peer_connections proxy_rss random_port
reannounce_when_address_changed recheck_completed_torrents resolve_peer_countries rss_auto_downloading_enabled
rss_download_repack_proper_episodes rss_processing_enabled save_path_changed_tmm_enabled scheduler_enabled
ssl_enabled status_bar_external_ip temp_path_enabled upnp
use_https use_subcategories use_unwanted_folder
web_ui_host_header_validation_enabled web_ui_reverse_proxy_enabled web_ui_upnp
web_ui_use_custom_http_headers_enabled
""")

_ZERO = _words("""
alt_dl_limit alt_up_limit announce_port async_io_threads auto_delete_mode bittorrent_protocol
checking_memory_use connection_speed disk_cache disk_cache_ttl disk_io_read_mode disk_io_type
disk_io_write_mode disk_queue_size dl_limit dyndns_service embedded_tracker_port encryption file_log_age
file_log_age_type file_log_max_size file_pool_size hashing_threads i2p_inbound_length i2p_inbound_quantity
i2p_outbound_length i2p_outbound_quantity i2p_port listen_port max_active_checking_torrents
max_active_uploads max_concurrent_http_announces max_ratio_act memory_working_set_limit outgoing_ports_max
outgoing_ports_min peer_tos peer_turnover peer_turnover_cutoff peer_turnover_interval proxy_port
request_queue_size rss_fetch_delay rss_max_articles_per_feed rss_refresh_interval save_resume_data_interval
save_statistics_interval schedule_from_hour schedule_from_min schedule_to_hour schedule_to_min scheduler_days
send_buffer_low_watermark send_buffer_watermark send_buffer_watermark_factor slow_torrent_dl_rate_threshold
slow_torrent_inactive_timer slow_torrent_ul_rate_threshold socket_backlog_size socket_receive_buffer_size
socket_send_buffer_size ssl_listen_port stop_tracker_timeout torrent_file_size_limit up_limit
upload_choking_algorithm upload_slots_behavior upnp_lease_duration utp_tcp_mixed_mode
""")

_EMPTY = _words("""
add_trackers add_trackers_url add_trackers_url_list alternative_webui_path announce_ip
autorun_on_torrent_added_program autorun_program banned_IPs bypass_auth_subnet_whitelist
current_interface_address current_interface_name current_network_interface dht_bootstrap_nodes dyndns_domain
dyndns_password dyndns_username excluded_file_names export_dir export_dir_fin file_log_path i2p_address
ip_filter_path mail_notification_email mail_notification_password mail_notification_sender
mail_notification_smtp mail_notification_username proxy_ip proxy_password proxy_username
python_executable_path rss_smart_episode_filters save_path temp_path web_ui_address web_ui_custom_http_headers
web_ui_https_cert_path web_ui_https_key_path web_ui_reverse_proxies_list web_ui_username
""")

DAY: Final = 24 * 3600

DEFAULTS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(_FALSE, False),
    **dict.fromkeys(_ZERO, 0),
    **dict.fromkeys(_EMPTY, ""),
    "app_instance_name": "AniBridge",
    # A download goes where its category goes, unless a client says otherwise.
    "auto_tmm_enabled": True,
    "bdecode_depth_limit": 100,
    "bdecode_token_limit": 10_000_000,
    # Without DHT Sonarr and Radarr refuse magnets that name no tracker, as ours do, and warn while one has no metadata.
    "dht": True,
    "locale": "en",
    "max_active_downloads": 0,
    "max_active_torrents": 0,
    "max_connec": -1,
    "max_connec_per_torrent": -1,
    # Nothing is shared, so no limit may make a client think that we remove items by ourselves.
    "max_inactive_seeding_time": -1,
    "max_ratio": -1,
    "max_seeding_time": -1,
    "max_uploads": -1,
    "max_uploads_per_torrent": -1,
    "proxy_type": "None",
    # The queue is real, so Sonarr's «first» puts a download before the others.
    "queueing_enabled": True,
    "refresh_interval": 1500,
    "resume_data_storage_type": "SQLite",
    "scan_dirs": {},
    "ssrf_mitigation": True,
    "torrent_changed_tmm_enabled": True,
    "torrent_content_layout": "Original",
    "torrent_content_remove_option": "Delete",
    "torrent_stop_condition": "None",
    "use_category_paths_in_manual_mode": True,
    "validate_https_tracker_certificate": True,
    "web_ui_ban_duration": 3600,
    "web_ui_clickjacking_protection_enabled": True,
    "web_ui_csrf_protection_enabled": True,
    "web_ui_domain_list": "*",
    "web_ui_max_auth_fail_count": 5,
    "web_ui_port": 0,
    "web_ui_secure_cookie_enabled": True,
    "web_ui_session_timeout": 30 * DAY,
}

FIXED: Final = frozenset(
    _words("""
    add_trackers_url_list alternative_webui_enabled alternative_webui_path autorun_enabled
    autorun_on_torrent_added_enabled autorun_on_torrent_added_program autorun_program
    bypass_auth_subnet_whitelist bypass_auth_subnet_whitelist_enabled bypass_local_auth
    current_interface_name dht dyndns_password mail_notification_password max_active_downloads
    max_active_torrents max_ratio_act proxy_password random_port scan_dirs scheduler_enabled
    ssrf_mitigation temp_path temp_path_enabled use_https web_ui_address
    web_ui_clickjacking_protection_enabled web_ui_csrf_protection_enabled web_ui_custom_http_headers
    web_ui_port web_ui_reverse_proxies_list web_ui_reverse_proxy_enabled web_ui_secure_cookie_enabled
    web_ui_use_custom_http_headers_enabled web_ui_username
    """)
)
"""Facts of the installation, doors that stay shut, secrets that nothing here would use, and promises that we do not
break: nothing is removed at a limit, no program is run, and a magnet is found without trackers (`dht`), whatever one client
says: the others would stop sending them."""

ACTING: Final = frozenset(
    _words("""
    add_stopped_enabled add_to_top_of_queue alt_dl_limit auto_tmm_enabled category_changed_tmm_enabled dl_limit
    queueing_enabled refresh_interval save_path torrent_changed_tmm_enabled torrent_content_layout
    use_category_paths_in_manual_mode web_ui_ban_duration web_ui_domain_list
    web_ui_host_header_validation_enabled web_ui_max_auth_fail_count web_ui_session_timeout
    """)
)

RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "alt_dl_limit": (0, 2**31 - 1),
    "dl_limit": (0, 2**31 - 1),
    "refresh_interval": (500, 3_600_000),
    "web_ui_ban_duration": (1, 365 * DAY),
    "web_ui_max_auth_fail_count": (0, 100_000),
    "web_ui_session_timeout": (0, 365 * DAY),
}
LIMITS: Final[Mapping[str, str]] = {
    "max_ratio_enabled": "max_ratio",
    "max_seeding_time_enabled": "max_seeding_time",
    "max_inactive_seeding_time_enabled": "max_inactive_seeding_time",
}
"""Switch → the limit that it switches. One that is off reads back as -1."""
LONGEST_TEXT: Final = 20_000
