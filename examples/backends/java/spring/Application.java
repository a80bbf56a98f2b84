// 不相信请求头，自己校验 JWT：Spring Boot 3 的资源服务器。规则都在 application.yml 里。
// Verifies the JWT instead of trusting headers: a resource server of Spring Boot 3. The rules are in application.yml.
//
//   依赖 / dependencies: spring-boot-starter-web, spring-boot-starter-oauth2-resource-server
package com.example.backend;

import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
@RestController
public class Application {
    public static void main(String[] args) {
        SpringApplication.run(Application.class, args);
    }

    @GetMapping("/me")
    Map<String, String> me(@AuthenticationPrincipal Jwt user) {
        String phone = user.getClaimAsString("phone"); // 用户没给过就没有 / absent until the user gives it
        return Map.of("openid", user.getClaimAsString("openid"), "appid", user.getClaimAsString("appid"), "phone", phone == null ? "" : phone);
    }
}
